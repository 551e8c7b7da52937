"""What answers at an address."""

from __future__ import annotations

import pytest
import trio

from answering import answering
from jouled.loads.miners.exchange import miners_http
from jouled.loads.miners.probe import probe
from miners.farm import Farm
from miners.machine import HandClock
from miners.steering import braiins_site, vnish_site


async def test_a_vnish_is_known_without_a_password() -> None:
    async with vnish_site() as site:
        address = site.farm.address(site.fake)
        found = await probe(address, site.http)
        assert found is not None
        assert (found.address, found.family, found.mac) == (address, "vnish", site.fake.mac)
        assert (found.model, found.firmware, found.problem) == ("Antminer S19", "Vnish 1.2.6", None)
        assert ("POST", "/unlock") not in site.fake.asked


async def test_braiins_os_is_known_with_its_password() -> None:
    async with braiins_site() as site:
        address = site.farm.address(site.fake)
        found = await probe(address, site.http, password="root")
        assert found is not None
        assert (found.family, found.mac, found.model, found.problem) == (
            "braiins",
            site.fake.mac,
            "Antminer S19J Pro",
            None,
        )
        locked = await probe(address, site.http, password="another")
        assert locked is not None
        assert (locked.family, locked.mac) == ("braiins", None)
        assert locked.problem is not None
        assert "set miners.password" in locked.problem


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "nonsense"])
async def test_one_without_a_mac_of_its_own_is_said_to_have_none(mac: str) -> None:
    async with vnish_site() as site:
        site.fake.faults.mac = mac
        found = await probe(site.farm.address(site.fake), site.http)
        assert found is not None
        assert (found.mac, found.problem) == (None, "it does not tell its MAC")


@pytest.mark.parametrize("body", [b"<html>hello</html>", b'{"fw_name":"Other"}', b"[1]", b"", b"\xff"])
async def test_what_is_no_miner_is_not_found(body: bytes) -> None:
    with answering() as server:
        server.tell("/api/v1/info", body)
        server.tell("/api/v1/version/", body)
        async with miners_http() as http:
            assert await probe(server.url, http) is None


async def test_what_does_not_answer_is_asked_once() -> None:
    async with vnish_site(deadline_s=0.2) as site:
        site.fake.faults.hangs = True
        assert await probe(site.farm.address(site.fake), site.http) is None
        site.farm.vanish(site.fake)
        assert await probe(site.farm.address(site.fake), site.http) is None


async def test_a_whole_farm_is_found_at_once() -> None:
    found = []
    with Farm(60, clock=HandClock(), braiins=10, seed=3) as farm:
        async with miners_http() as http, trio.open_nursery() as nursery:

            async def look(address: str) -> None:
                found.append(await probe(address, http, password="root"))

            for device in farm.devices:
                nursery.start_soon(look, farm.address(device))
        assert {each.mac for each in found if each is not None} == {device.mac for device in farm.devices}
        assert sum(each is not None and each.family == "braiins" for each in found) == 10
