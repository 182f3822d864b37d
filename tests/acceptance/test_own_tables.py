"""A shop's own files keep their content, whatever a job and its output folder are called."""

from __future__ import annotations

from pathlib import Path

from tests.support.shop import Shop

CATALOG = "sku,name\nA-1,mug\n"
LINES = '{"sku": "A-1", "name": "mug"}\n'


def job(shop: Shop, catalog: str, text: str) -> str:
    shop.write(catalog, text)
    manifest = f"prompts: [{{from: {catalog}, id: '{{{{ sku }}}}', text: 'A {{{{ name }}}}'}}]\n"
    name = shop.manifest(manifest + 'sizes: ["1:1@1K"]\noutput: {folder: .}\n', route="apiyi/gpt-image-2-vip")
    path = shop.folder / name
    path.write_text(path.read_text().replace("name: job", "name: products"))
    return name


def test_report_leaves_the_catalog_of_its_jobs_name(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.run("run", job(shop, "products.csv", CATALOG), "--rehearse")
    words = ("report", "products", "--rehearse", "--format")
    for where in ((), ("--to", "."), ("--to", str(tmp_path))):
        folder = tmp_path if where else tmp_path / "rehearsal"
        before = {each.name for each in folder.iterdir()}
        done = shop.run(*words, "jsonl,csv", *where, code=2 if where else 0)
        if where:
            assert "products.csv is not a table that batchgen wrote, so it stays as it is; name another" in done.stderr
            assert {each.name for each in folder.iterdir()} == before  # nor is the other table written
    assert (tmp_path / "products.csv").read_text() == CATALOG
    shop.run(*words, "csv", "--to", "tables")
    shop.run(*words, "csv", "--to", "tables")
    assert (tmp_path / "tables" / "products.csv").read_text().startswith('"id","size"')


def test_run_leaves_a_catalog_that_is_called_as_the_index(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "http://127.0.0.1:9/v1")
    name = job(shop, "images.jsonl", LINES)
    path = shop.folder / name
    path.write_text(path.read_text() + "limits: {budget: 1.00}\n")
    path.write_text(
        path.read_text().replace("apiyi/gpt-image-2-vip", "{use: apiyi/gpt-image-2-vip, key_env: SHOP_KEY}")
    )
    said = shop.run("run", name, code=4).stderr
    assert "images.jsonl is not an index that batchgen wrote; move it away, or name another output folder" in said
    assert (tmp_path / "images.jsonl").read_text() == LINES
    assert shop.query("SELECT count(*) FROM attempt") == [(0,)]
