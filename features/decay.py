"""Weights that halve with age, as whole numbers: the same bits on every machine.

``2 ** (-d / h)`` from a machine's own library may differ in the last bit from one system to the
next, and a sum of such numbers depends on their order. So ages are whole days, and a weight is
an integer in units of ``1 / ONE``: whoever adds integers finds the same sum in any order.
"""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from types import MappingProxyType
from typing import Final

ONE: Final = 2**30  # the weight of a signal less than a day old; below it, nine decimals are right

# Weights of the days before the first halving: 2**30 * 2**(-d / h), rounded to the nearest
# integer. Later ones follow by halving. `computed_weights` made these numbers and a test makes
# them again; they stand here so that no machine needs to.
# fmt: off
FIRST_HALVING: Final[Mapping[int, tuple[int, ...]]] = MappingProxyType({
    7: (
        1_073_741_824, 972_513_379, 880_828_381, 797_787_109, 722_574_664, 654_452_972,
        592_753_544,
    ),
    21: (
        1_073_741_824, 1_038_879_337, 1_005_148_772, 972_513_379, 940_937_600, 910_387_029,
        880_828_381, 852_229_450, 824_559_076, 797_787_109, 771_884_381, 746_822_668,
        722_574_664, 699_113_950, 676_414_963, 654_452_972, 633_204_048, 612_645_039,
        592_753_544, 573_507_891, 554_887_110,
    ),
    60: (
        1_073_741_824, 1_061_408_847, 1_049_217_527, 1_037_166_236, 1_025_253_365, 1_013_477_326,
        1_001_836_546, 990_329_472, 978_954_568, 967_710_316, 956_595_215, 945_607_781,
        934_746_550, 924_010_070, 913_396_909, 902_905_651, 892_534_895, 882_283_257,
        872_149_370, 862_131_880, 852_229_450, 842_440_760, 832_764_503, 823_199_387,
        813_744_135, 804_397_487, 795_158_194, 786_025_023, 776_996_755, 768_072_186,
        759_250_125, 750_529_394, 741_908_828, 733_387_278, 724_963_607, 716_636_690,
        708_405_415, 700_268_685, 692_225_413, 684_274_526, 676_414_963, 668_645_675,
        660_965_624, 653_373_786, 645_869_148, 638_450_708, 631_117_477, 623_868_474,
        616_702_733, 609_619_298, 602_617_224, 595_695_574, 588_853_427, 582_089_869,
        575_403_996, 568_794_918, 562_261_751, 555_803_624, 549_419_675, 543_109_052,
    ),
})
# fmt: on
HALF_LIVES: Final = tuple(FIRST_HALVING)


def decayed_weights(half_life: int) -> tuple[int, ...]:
    """Weight of a signal by its age in whole days; 0 from the end of the tuple on.

    Each halving drops the last binary digit, so that a weight lies at most one unit and a half
    from ``ONE * 2 ** (-age / half_life)``.

    Parameters
    ----------
    half_life : int
        Days, one of `HALF_LIVES`.
    """
    first = FIRST_HALVING[half_life]
    return tuple(weight >> halvings for halvings in range(ONE.bit_length()) for weight in first)


def computed_weights(half_life: int) -> tuple[int, ...]:
    """The row of `FIRST_HALVING`, from fifty decimal digits."""
    with localcontext() as context:
        context.prec = 50
        step = Decimal(2) ** (Decimal(-1) / Decimal(half_life))
        return tuple(int((ONE * step**day).to_integral_value()) for day in range(half_life))
