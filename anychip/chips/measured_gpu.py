"""A GPU of the catalogue with what was measured on one of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from anychip.blocks import DotUnit
from anychip.chips.chip import Chip, Engine
from anychip.facts import Fact


def measured_gpu(base: Chip, *, name: str, constants: Mapping[str, Fact], note: str = "") -> Chip:
    """The chip with measured bandwidth, launches and rates of products.

    Args:
        base: of the catalogue.
        name: of the result.
        constants: ``dram_bytes_per_second``, ``dispatch_s`` and ``products.FORMAT`` (multiply-adds a second,
            all cores); of formats that share an engine the first counts.
        note: what a user must know.
    """
    rate, dispatch = constants["dram_bytes_per_second"], constants["dispatch_s"]
    main = base.load.links[0]
    link = base.links[main]
    peak = max(link.bytes_per_second, rate.value)
    facts = {**link.facts, "efficiency": rate.scaled(1 / peak, "1")}
    links = {
        **base.links,
        main: replace(link, bytes_per_second=peak, efficiency=rate.value / peak, facts=facts),
    }
    engines = dict(base.engines)
    for key, fact in constants.items():
        kind, _, form = key.partition(".")
        if kind != "products" or not base.macs_per_second(form):
            continue
        engine = base.multiplier(form)
        block = engines[engine].block
        if isinstance(block, DotUnit) and block is base.engines[engine].block:
            share = min(1.0, fact.value / base.macs_per_second(form))
            known = {**block.facts, "efficiency": fact.scaled(share / fact.value, "1")}
            engines[engine] = Engine(
                block=replace(block, efficiency=share, facts=known), queue_depth=engines[engine].queue_depth
            )
    policy = replace(
        base.policy, dispatch_s=dispatch.value, facts={**base.policy.facts, "dispatch_s": dispatch}
    )
    return base.altered(
        name=name, links=links, engines=engines, policy=policy, facts=base.facts, aliases=(), note=note
    )
