"""Runs one claimed job and records how it ended."""

import importlib
import logging

from analysis.errors import AnalysisError, Cancelled
from jobs import services
from jobs.models import Job
from workers.heartbeat import heartbeat
from workers.reporter import Reporter

logger = logging.getLogger(__name__)

UNEXPECTED = (
    "Something went wrong that Unitscope did not foresee ({error}). Run the job again; if it fails "
    "again, send the log below to whoever runs this server."
)


def run(job: Job) -> None:
    """Run the job's kind; errors that people can act on become the job's error text."""
    reporter = Reporter(job)
    reporter.log(f"Started, attempt {job.attempt}.")
    try:
        # Imported here so that torch is loaded in the process that works, not in its parent.
        with heartbeat(job):
            importlib.import_module(f"workers.{job.kind}").run(job, reporter)
    except Cancelled:
        reporter.log("Cancelled.")
        services.finish(job, Job.State.CANCELLED)
    except AnalysisError as error:
        reporter.log(f"Failed: {error}")
        services.finish(job, Job.State.FAILED, error=str(error))
    except Exception as error:
        logger.exception("job %s failed", job.pk)
        name = f"{type(error).__name__}: {error}"
        reporter.log(f"Failed: {name}")
        services.finish(job, Job.State.FAILED, error=UNEXPECTED.format(error=name))
        raise
    else:
        if services.finish(job, Job.State.SUCCEEDED):
            reporter.log("Finished.")
