"""``python -m analysis.phantoms OUT --patients N``: write a phantom dataset folder."""

import argparse
import logging
from pathlib import Path

from analysis.phantoms.patients import DEMO_SEED
from analysis.phantoms.writer import write_dataset

logger = logging.getLogger("analysis.phantoms")


def main() -> None:
    """Parse the command line and write the dataset."""
    parser = argparse.ArgumentParser(prog="python -m analysis.phantoms", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument(
        "--patients", type=int, default=50, help="number of patients, 4 images each"
    )
    parser.add_argument("--seed", type=int, default=DEMO_SEED, help="seed of the population")
    parser.add_argument("--dicom", action="store_true", help="write DICOM files too")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    def progress(done: int) -> None:
        if done % 10 == 0 or done == options.patients:
            logger.info("%d of %d patients written", done, options.patients)

    try:
        write_dataset(options.out, range(options.patients), options.seed, options.dicom, progress)
    except FileExistsError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
