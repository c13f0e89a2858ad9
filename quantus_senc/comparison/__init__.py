"""`quantus_senc.compare`: scores of explanation methods by several metrics, on the same images and model.

A cell is one method by one metric, for the images of one block. In the order of a call:

- `compare` takes the arguments. `named_methods` and `named_metrics` are what names stand for, `names` checks them;
  `quantus_metrics` are those of Quantus, with `quantus_corrections`, and `quantus_per_image` calls them;
- `workload` is all that there is to do, in `blocks`; `dataset_images` reads the images of a block. `expected_time` says
  before how long it takes, `progress` while it runs;
- `describe` makes the `description` of what the cells come from, with `directions` (is higher or lower better?) and
  `fingerprints` of values (`value_parts`). `probe` has what model and methods do with one image;
- `begin_run` begins a run, or goes on with one: `runs` in memory, `run_folder` in a folder, where `stored_cells` has the
  cells that are done, written by `encoding`;
- `engine` gives blocks to this process or to `workers`, for which `model_source` makes models; `block_work` does one block,
  and `cells` one cell. `failures` says why there is no score;
- `collect` makes of the cells a `result`, the `Comparison`, with `checked_frames`, `summary`, `agreement`, `verdict`, and
  one image for pictures (`examples`). `plots`, `report` with `report_pictures`, `notebook` and `text_table` show it;
  `save_and_load` keeps it in a `folder` (CSV, JSON, arrays).
"""
