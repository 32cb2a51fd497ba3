"""Every rule by name: what it says to the reader, and where it comes from.

An emulation and no legal advice. The contents were compared with what the Swedish authorities write about the laws;
where a rule goes further than their words, or chooses between readings, its standing says so.

PDL: patientdatalagen (2008:355). SVOD: lagen (2022:913) om sammanhållen vård- och omsorgsdokumentation, into which
chapter 6 of PDL was moved in 2023; the sections named are those of PDL as it was, since the new numbers were not
compared here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Standing(Enum):
    """How far a rule is the law's own."""

    LAW = "law"
    INTERPRETED = "interpreted"
    """A reading, where the law leaves room or the emulation has to choose."""
    OURS = "ours"
    """The emulation's own, on the safe side."""


@dataclass(frozen=True, slots=True)
class About:
    """What there is to say of a rule."""

    may_show: bool
    swedish: str
    """To the reader."""
    source: str
    standing: Standing


class Rule(Enum):
    """Why data is shown, or not."""

    PURPOSE_IS_NOT_CARE = About(
        False,
        "Uppdraget är inte för vård och behandling: översikten öppnas inte.",
        "SVOD (PDL 6 kap. 3 § as it was): to prevent, examine or treat",
        Standing.INTERPRETED,
    )
    NO_CARE_RELATION = About(
        False,
        "Det finns ingen aktuell vårdrelation till patienten.",
        "SVOD (PDL 6 kap. 3 § as it was); PDL 4 kap. 1 §",
        Standing.LAW,
    )
    EMERGENCY_WITHOUT_REASON = About(
        False,
        "Skriv varför det är en nödsituation.",
        "PDL 4 kap. 3 §: access has to be followed up",
        Standing.OURS,
    )
    OWN_PROVIDER = About(
        True,
        "Uppgifterna finns hos den egna vårdgivaren.",
        "PDL 4 kap. 1 §: whoever takes part in the care",
        Standing.LAW,
    )
    INNER_BLOCK = About(
        False,
        "Det finns spärrade uppgifter hos den egna vårdgivaren.",
        "PDL 4 kap. 4 §",
        Standing.LAW,
    )
    INNER_BLOCK_OPENED_BY_CONSENT = About(
        True,
        "Spärren är öppnad med patientens samtycke.",
        "PDL 4 kap. 5 §",
        Standing.LAW,
    )
    INNER_BLOCK_OPENED_IN_EMERGENCY = About(
        True,
        "Spärren är öppnad i en nödsituation.",
        "PDL 4 kap. 5 §",
        Standing.LAW,
    )
    OUTER_BLOCK = About(
        False,
        "Det finns spärrade uppgifter hos en annan vårdgivare.",
        "SVOD (PDL 6 kap. 2 § as it was): that blocked data exists may be told, and not whose",
        Standing.LAW,
    )
    OUTER_BLOCK_IN_EMERGENCY = About(
        False,
        "Det finns spärrade uppgifter hos vårdgivaren som anges: bara den kan häva spärren.",
        "SVOD (PDL 6 kap. 4 § as it was): whose they are may be told in an emergency; that only the blocking care "
        "provider opens them here is our reading",
        Standing.INTERPRETED,
    )
    GUARDIAN_CANNOT_BLOCK = About(
        True,
        "En vårdnadshavare kan inte spärra barnets uppgifter: spärren gäller inte.",
        "PDL 4 kap. 4 §; SVOD (PDL 6 kap. 2 § as it was)",
        Standing.LAW,
    )
    CONSENT = About(
        True,
        "Patienten har samtyckt.",
        "SVOD (PDL 6 kap. 3 § as it was)",
        Standing.LAW,
    )
    CONSENT_OF_GUARDIAN = About(
        True,
        "Vårdnadshavaren har samtyckt för barnet.",
        "SVOD; föräldrabalken 6 kap. 11 §",
        Standing.INTERPRETED,
    )
    CONSENT_OF_REPRESENTATIVE = About(
        True,
        "Patientens ställföreträdare har samtyckt.",
        "SVOD; who may decide for whom is not looked into",
        Standing.INTERPRETED,
    )
    CONSENT_MISSING = About(
        False,
        "Patienten har inte samtyckt till att uppgifter hos andra vårdgivare visas.",
        "SVOD (PDL 6 kap. 3 § as it was)",
        Standing.LAW,
    )
    CONSENT_REFUSED = About(
        False,
        "Patienten har sagt nej till att uppgifter hos andra vårdgivare visas.",
        "SVOD: an emergency counts only where consent cannot be asked for",
        Standing.INTERPRETED,
    )
    RELATIVE_CANNOT_CONSENT = About(
        False,
        "En närståendes ja är inget samtycke.",
        "SVOD: the consent is the patient's",
        Standing.INTERPRETED,
    )
    EMERGENCY = About(
        True,
        "Uppgifterna visas utan samtycke i en nödsituation.",
        "SVOD (PDL 6 kap. 4 § as it was): danger to life, or serious risk to health, and consent cannot be asked for",
        Standing.LAW,
    )
    WITHOUT_CAPACITY = About(
        True,
        "Patienten kan inte ta ställning, och inget talar för att patienten skulle ha motsatt sig.",
        "SVOD (PDL 6 kap. 3 a § as it was; prop. 2013/14:202)",
        Standing.LAW,
    )
    WISH_NOT_CLEARED_UP = About(
        False,
        "Patienten kan inte ta ställning: patientens inställning ska först klarläggas så långt som möjligt.",
        "SVOD (PDL 6 kap. 3 a § as it was; prop. 2013/14:202)",
        Standing.LAW,
    )
    WOULD_HAVE_OPPOSED = About(
        False,
        "Det finns anledning att anta att patienten skulle ha motsatt sig.",
        "SVOD (PDL 6 kap. 3 a § as it was; prop. 2013/14:202)",
        Standing.LAW,
    )
    NOT_NEEDED = About(
        False,
        "Patienten kan inte ta ställning, och uppgifterna kan inte antas ha betydelse för nödvändig vård.",
        "SVOD (PDL 6 kap. 3 a § as it was; prop. 2013/14:202)",
        Standing.LAW,
    )

    @property
    def may_show(self) -> bool:
        """Whether data is shown by it."""
        return self.value.may_show

    @property
    def swedish(self) -> str:
        """To the reader."""
        return self.value.swedish
