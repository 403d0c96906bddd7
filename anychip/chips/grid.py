"""How much CO2 a region's electricity stands for: grams of CO2 equivalent per kilowatt-hour, 2024.

Google publishes the grid intensity at each of its regions; a region of another cloud in the same place takes
electricity from the same grid. A region in neither list is unknown.
"""

from __future__ import annotations

from anychip.errors import unknown_name
from anychip.facts import Fact, Source

_READ_ON = "2026-11-22"
_GOOGLE = "GoogleCloudPlatform/region-carbon-info, data/yearly/2024.csv"

#: Google's regions.
_G_PER_KWH: dict[str, float] = {
    "africa-south1": 656.85, "asia-east1": 439.29, "asia-east2": 505.02, "asia-northeast1": 452.85,
    "asia-northeast2": 296.19, "asia-northeast3": 356.57, "asia-south1": 678.76, "asia-south2": 531.83,
    "asia-southeast1": 366.85, "asia-southeast2": 560.55, "australia-southeast1": 497.50,
    "australia-southeast2": 454.37, "europe-central2": 642.88, "europe-north1": 39.32, "europe-north2": 2.73,
    "europe-southwest1": 89.04, "europe-west1": 103.37, "europe-west2": 105.94, "europe-west3": 275.82,
    "europe-west4": 208.81, "europe-west6": 15.05, "europe-west8": 201.69, "europe-west9": 16.30,
    "europe-west10": 275.82, "europe-west12": 201.69, "me-central2": 382.23, "me-west1": 433.75,
    "northamerica-northeast1": 5.48, "northamerica-northeast2": 58.56, "northamerica-south1": 305.00,
    "southamerica-east1": 67.32, "southamerica-west1": 238.00, "us-central1": 412.72, "us-east1": 575.77,
    "us-east2": 340.42, "us-east4": 323.05, "us-south1": 302.95, "us-west1": 79.23, "us-west2": 169.28,
    "us-west3": 555.17, "us-west4": 357.30,
}  # fmt: skip

#: Regions of other clouds in the same place as one of Google's.
_SAME_PLACE: dict[str, str] = {
    "us-east-1": "us-east4", "us-west-2": "us-west1", "ca-central-1": "northamerica-northeast1",
    "sa-east-1": "southamerica-east1", "eu-west-2": "europe-west2", "eu-west-3": "europe-west9",
    "eu-central-1": "europe-west3", "eu-central-2": "europe-west6", "eu-south-1": "europe-west8",
    "eu-north-1": "europe-north2", "ap-northeast-1": "asia-northeast1", "ap-northeast-2": "asia-northeast3",
    "ap-northeast-3": "asia-northeast2", "ap-south-1": "asia-south1", "ap-southeast-1": "asia-southeast1",
    "ap-southeast-2": "australia-southeast1", "ap-southeast-3": "asia-southeast2",
    "ap-southeast-4": "australia-southeast2", "ap-east-1": "asia-east2", "il-central-1": "me-west1",
    "af-south-1": "africa-south1", "mx-central-1": "northamerica-south1", "eastus": "us-east4",
    "eastus2": "us-east4", "centralus": "us-central1", "southcentralus": "us-south1",
    "westeurope": "europe-west4",
    "uksouth": "europe-west2", "francecentral": "europe-west9", "germanywestcentral": "europe-west3",
    "swedencentral": "europe-north2", "switzerlandnorth": "europe-west6", "japaneast": "asia-northeast1",
    "koreacentral": "asia-northeast3", "southeastasia": "asia-southeast1",
    "australiaeast": "australia-southeast1",
    "brazilsouth": "southamerica-east1", "canadacentral": "northamerica-northeast2",
}  # fmt: skip


def regions() -> tuple[str, ...]:
    """Every region whose intensity is known."""
    return tuple(sorted({*_G_PER_KWH, *_SAME_PLACE}))


def intensity(region: str) -> Fact:
    """Grid intensity in kilograms of CO2 equivalent per joule.

    Raises:
        UnknownName: not known for that region; names the nearest.
    """
    twin = _SAME_PLACE.get(region, region)
    grams = _G_PER_KWH.get(twin)
    if grams is None:
        raise unknown_name("region", region, regions())
    kind = "published" if region == twin else "derived"
    where = _GOOGLE if region == twin else f"{_GOOGLE}: {twin} is in the same place"
    return Fact(grams / 1000 / 3.6e6, "kgCO2e/J", Source(kind, where, _READ_ON))
