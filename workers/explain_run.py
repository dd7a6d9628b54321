"""Explanations of many cases, as parts that any worker can take."""

from analysis.errors import Cancelled
from explanations.models import ExplanationRun
from explanations.runs import explanations_of, failures_of, shares_left
from jobs import services as jobs
from jobs.models import Job
from workers.reporter import Reporter


def run(job: Job, reporter: Reporter) -> None:
    asked = ExplanationRun.objects.select_related("layer__dissection__model", "dataset").get(
        pk=job.target_id
    )
    shares = shares_left(asked)
    if not shares:
        reporter.log(
            f"{explanations_of(asked).count()} cases are explained, "
            f"{len(failures_of(asked))} could not be."
        )
        return
    parts = [
        jobs.Part(share.pk, f"Cases, part {number} of {len(shares)}", len(share.cases))
        for number, share in enumerate(shares, start=1)
    ]
    if not jobs.split(job=job, kind=Job.Kind.EXPLAIN_SHARE, parts=parts):
        raise Cancelled
    reporter.log(f"Handed out {len(parts)} parts.")
