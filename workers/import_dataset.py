"""Import of a dataset's images, masks and reports."""

from analysis.errors import AnalysisError
from catalog import services
from catalog.importing import import_dataset
from catalog.models import Dataset, ImportState
from jobs.models import Job
from workers.reporter import Reporter


def run(job: Job, reporter: Reporter) -> None:
    dataset = Dataset.objects.get(pk=job.target_id)
    if dataset.state == ImportState.READY:
        services.discard_upload(dataset)
        reporter.log("The dataset has been imported before; there is nothing to do.")
        return
    try:
        with services.dataset_source(dataset) as path:
            found = import_dataset(
                dataset, path, progress=reporter.progress, should_stop=reporter.should_stop
            )
    except AnalysisError as error:
        # That its archive is gone is no news of a refused dataset; the first reason is.
        if isinstance(error, services.SourceGoneError) and dataset.state == ImportState.REFUSED:
            raise
        dataset.state = ImportState.REFUSED
        dataset.message = str(error)
        dataset.save(update_fields=["state", "message"])
        raise
    reporter.log(f"{found.imported} images imported, {len(found.errors)} files left out.")
    for name, reason in found.errors:
        reporter.log(f"{name}: {reason}")
