"""What the models of a fold start from."""

from __future__ import annotations

from hexconv.calibrate.kept_samples import KeptSamples
from hexconv.calibration import Calibration
from hexconv.conversion import _Job
from hexconv.conversion_record import RefineStep
from hexconv.settings import Settings
from tests.refine.test_high_accuracy import attention, feeds


def test_a_fold_has_the_observer_that_all_samples_chose() -> None:
    """Or a step that takes the other one would gain in folds what the model has already."""
    settings = Settings(accuracy="high")
    for kept in (False, True):
        known = Calibration(attention(), None, KeptSamples(feeds(4)), None, settings, is_fold=True)
        seen, narrow = known.observed, known.other
        assert narrow is not None and seen != narrow
        whole = _Job(known, chosen=(RefineStep("ranges", 30.0, 31.0, kept, True),))
        fold = _Job(known)
        fold._start_as(whole)
        assert known.observed is (narrow if kept else seen)
        assert known.other is (seen if kept else narrow)
