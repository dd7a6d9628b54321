"""Some of the cases of a run, explained one after the other."""

from analysis.errors import AnalysisError, Cancelled
from explanations.models import ExplanationShare
from explanations.runs import note_failure, records_of
from jobs.models import Job
from workers.explain import explain_record
from workers.reporter import Reporter


def run(job: Job, reporter: Reporter) -> None:
    share = ExplanationShare.objects.select_related(
        "run__layer__dissection__model", "run__dataset"
    ).get(pk=job.target_id)
    records = records_of(share)
    for done, record in enumerate(records):
        reporter.progress(done, len(records), "Explaining cases")
        if reporter.should_stop():
            raise Cancelled
        try:
            explain_record(
                record, step=lambda _done, _stage: None, should_stop=reporter.should_stop
            )
        except (AnalysisError, OSError) as error:
            reporter.log(f"{record.case.image} was left out: {error}")
            note_failure(share, record, str(error))
    reporter.progress(len(records), len(records), "Explaining cases")
