"""How a layer's masks are carried out: by hooks where they are proved right, and by zeroed weights elsewhere."""

from collections import Counter
from dataclasses import dataclass, field

from quantus_senc._batch import DEPENDENT, RANDOM
from quantus_senc._masked_models import MaskedModels
from quantus_senc._model_passes import Disproved, Undecided
from quantus_senc._survey import Survey

STRATEGIES = ("auto", "hooks", "weights")


class StartAgain(Exception):
    """What was found for earlier images of the call has turned out to be doubtful."""


@dataclass
class Strategy:
    """How one layer was masked in a call, and why.

    Attributes
    ----------
    images
        For how many images it was masked by "hooks" (many masks a pass), and by "weights" (zeroed, one mask a pass).
    reasons
        What was found, in words.
    disproved
        What hooks got wrong, or an empty string.
    """

    images: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)
    disproved: str = ""

    @property
    def name(self) -> str:
        """Hooks, weights, or "hooks and weights"."""
        return " and ".join(sorted(self.images))

    @property
    def why(self) -> str:
        """The reasons."""
        return "; ".join(self.reasons)

    def note(self, name: str, why: str, models: MaskedModels) -> None:
        """Some images were masked in this way, for this reason."""
        self.images[name] += len(models.passes.batch.x_batch)
        if why not in self.reasons:
            self.reasons.append(why)

    def forget(self) -> None:
        """Images are masked anew; what was disproved stays so."""
        self.images.clear()
        self.reasons.clear()

    def survey(self, models: MaskedModels, asked: str, flaw: str) -> Survey:
        """All masks of some images.

        Parameters
        ----------
        asked
            One of `STRATEGIES`: "hooks" is taken unless it is disproved, "auto" only where it is proved.
        flaw
            What keeps the explanation method from being checked (`Batch.flaw`), or an empty string.

        Raises
        ------
        ValueError
            If hooks were asked for and give something else than zeroed weights.
        StartAgain
            If hooks are disproved that earlier images were masked by.
        """
        bar = models.passes.batch.progress
        done, total = bar.n, bar.total
        if asked != "weights":
            try:
                return self._by_hooks(models, asked == "hooks", flaw)
            except (Undecided, Disproved) as failure:
                if asked == "hooks":
                    raise ValueError(f"strategy='hooks' cannot be used: {failure}; take 'auto' or 'weights'") from failure
                if isinstance(failure, Disproved):
                    self.disproved = str(failure)
                    if self.images["hooks"]:  # what they gave for earlier images may be wrong too
                        raise StartAgain from failure
                reason = str(failure)
                bar.update(done - bar.n)
                bar.total = total
        self.note("weights", "asked for" if asked == "weights" else reason, models)
        return models.by_weights(one_by_one=flaw == DEPENDENT, repeats=flaw != RANDOM)

    def _by_hooks(self, models: MaskedModels, forced: bool, flaw: str) -> Survey:
        if self.disproved or flaw == DEPENDENT:
            raise Disproved(self.disproved or flaw)
        try:
            if flaw:
                raise Undecided(flaw)
            survey, why = models.by_hooks(), "agrees with zeroed weights"
        except Undecided as reason:
            if not forced:
                raise
            survey, why = models.by_hooks(check=False), f"asked for; not checked, because {reason}"
        self.note("hooks", why, models)
        return survey
