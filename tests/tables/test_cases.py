"""Every kind of bad input, and what its user reads."""

import re

import pytest
from folders import changed, small, without, write

from meio_jax.config import Config, Problem, Units, parse
from meio_jax.faults import InputError
from meio_jax.tables import check_folder, read

DEMAND = small()["demand.csv"]
HORIZON = Config(problem=Problem(horizon=26))
PEAK = "\n".join(
    ["item,region,period,mean,std"]
    + [f"A1,North,{d},{10 if d != '2026-01-19' else 140},2" for d in
       ("2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26", "2026-02-02")]
)  # fmt: skip

CASES = {
    "1 duplicate item": (
        changed("items.csv", 4, "A2,20,1.5,30,8,big"),
        "ERROR E07 items.csv:4: duplicate key (item) = (A2), first seen at items.csv:3",
        "1 duplicated key(s). Drop one row, or sum the quantities",
    ),
    "2 unknown node in lanes": (
        changed("lanes.csv", 3, "IN01,FC3,2,0.3"),
        "ERROR E20 lanes.csv:3: destination 'FC3' is not in nodes.csv",
        "Known: IN01, FC01, FC02",
    ),
    "3 negative lead time": (
        changed("lanes.csv", 3, "IN01,FC02,-2,0.3"),
        "ERROR E10 lanes.csv:3: lead_time = -2: must be 0 or more",
        "1 such row",
    ),
    "4 cyclic lanes": (
        changed("lanes.csv", 3, "IN01,FC02,2,0.3\nFC01,FC02,1,0\nFC02,IN01,1,0"),
        "ERROR E31 lanes: cycle IN01 -> FC01 -> FC02 -> IN01",
        "Transfers must flow one way: remove one of these lanes "
        "(lanes.csv:2, lanes.csv:4, lanes.csv:5)",
    ),
    "5 NaN demand": (
        changed("demand.csv", 7, "A1,West,2026-01-12,NaN,2"),
        "ERROR E09 demand.csv:7: mean is empty",
        "1 such row. Write 0, or leave the row out (it means 0)",
    ),
    "6 capacity zero": (
        changed("nodes.csv", 3, "FC01,fc,,1,0") | {"capacities.csv": None}
        | {"fixed_targets.csv": None, "inventory.csv": None},
        "WARNING W11 nodes.csv:3: storage_capacity = 0: nothing can be stored there",
        "Leave it out for no limit; keep 0 only for a closed site",
    ),
    "7 region not reachable": (
        changed("demand.csv", 2, "A1,South,2026-01-05,40,2"),
        "ERROR E32 demand x ship_options: region 'South' has demand (40 units) but no "
        "node can ship to it",
        "1 such region: South. Add rows to ship_options or drop the demand "
        "(first at demand.csv:2)",
    ),
    "7b no node for a size class": (
        changed("nodes.csv", 3, "FC01,fc,small,1,900")
        | {"nodes.csv": changed("nodes.csv", 3, "FC01,fc,small,1,900")["nodes.csv"]
           .replace("small;big", "small")},
        "ERROR E32 demand x ship_options: region 'North' has demand (48 units of size "
        "class big) but no node that takes it can ship to it",
        "2 such regions: North, West. Add rows to ship_options or drop the demand",
    ),
    "8 units mismatch": (
        changed("items.csv", 2, "A1,5,100000,9,0.5,small")
        | {"inventory.csv": None, "fixed_targets.csv": None},
        "WARNING W36 items.unit_volume x nodes.storage_capacity: one period of demand "
        "takes 2e+06 of 1,575 capacity (1.27e+03 times)",
        "Are both in the same unit? 1 m3 = 35.3 ft3 = 1e6 cm3",
    ),
    "9 column misnamed": (
        small() | {"items.csv": small()["items.csv"].replace("unit_volume", "volume")},
        "ERROR E04 items.csv: column 'unit_volume' is missing",
        "Column 'volume' is there and unknown: rename it?",
    ),
    "10 table missing": (
        without("nodes.csv"),
        "ERROR E02 nodes.csv or nodes.parquet: table is missing from data/",
        "meio demo --write DIR shows an example of each table",
    ),
    "11 unknown item in demand": (
        changed("demand.csv", 18, "A03,North,2026-01-05,12,4"),
        "ERROR E20 demand.csv:18: item 'A03' is not in items.csv",
        "Known: A1, A2, A3",
    ),
    "12 number as text": (
        changed("items.csv", 4, 'A3,"$1,250",1.5,3000,8,big'),
        "ERROR E08 items.csv:4: unit_cost = '$1,250': expected a number",
        "Remove units and thousands separators",
    ),
    "13 percent for share": (
        changed("speeds.csv", 2, "1-day,1,40"),
        "ERROR E12 speeds.csv:2: lost_sale_share = 40: a share lies between 0 and 1",
        "Write 0.4 for 40 %",
    ),
    "14 shares do not sum": (
        changed("speed_mix.csv", 2, "North,1-day,0.3"),
        "ERROR E34 speed_mix.csv: region 'North': share sums to 0.9, must be 1",
        "Correct the shares in speed_mix.csv:2, speed_mix.csv:3",
    ),
    "15 hole in the calendar": (
        small() | {"demand.csv": DEMAND.replace("2026-01-26", "2026-02-02")},
        "ERROR E37 demand.csv: periods are not evenly spaced: 2026-01-19 to 2026-02-02"
        " is 14 days, elsewhere 7",
        "Add the missing periods, or correct the odd one",
    ),
    "16 no way to get an item": (
        changed("vendors.csv", 4, None),
        "ERROR E33 demand x vendors: item 'A3' has demand but no vendor and no stock",
        "1 such item. First at demand.csv:18",
    ),
    "17 lane to itself": (
        changed("lanes.csv", 3, "FC01,FC01,2,0.3"),
        "ERROR E30 lanes.csv:3: lane from 'FC01' to itself",
        "1 such row. Delete the row",
    ),
    "18 cut-off as HHMM": (
        changed("ship_options.csv", 2, "FC01,North,1-day,3,1530,1"),
        "ERROR E13 ship_options.csv:2: cutoff_hour = 1530: hour of day, 0 to 24",
        "15:30 is 15.5",
    ),
    "19 variance for std": (
        small() | {"demand.csv": re.sub(r",[23]\n", ",500\n", DEMAND)},
        "WARNING W35 demand.csv: median std/mean is 45.5",
        "Is std a variance, or a yearly figure next to a weekly mean?",
    ),
    "20 horizon too long": (
        small(),
        "ERROR E38 meio.toml x demand: horizon = 26 periods but demand has 4",
        "Lower problem.horizon or extend the forecast",
        HORIZON,
    ),
    "21 file misnamed": (
        without("inventory.csv") | {"inventry.csv": small()["inventory.csv"]},
        "ERROR E01 inventry.csv: no such table",
        "Did you mean 'inventory'?",
    ),
    "22 empty table": (
        small() | {"vendors.csv": "vendor,item,node,lead_time\n"},
        "ERROR E05 vendors.csv: table has no rows",
        "Fill it, or delete it",
    ),
    "24 promise that cannot be kept": (
        changed("ship_options.csv", 2, "FC01,North,1-day,3,14,3"),
        "WARNING W39 ship_options.csv:2: FC01 -> North at 1-day has transit_days = 3 > "
        "promise_days = 1",
        "Drop the row, or correct transit_days",
    ),
    "25 stock above capacity at the start": (
        changed("inventory.csv", 2, "A1,FC01,13100,,"),
        "WARNING W40 inventory x capacities: FC01 holds 1,310 m3 now, capacity 900",
        "The plan runs it down",
    ),
    "26 infeasible hard limits": (
        changed(
            "fixed_targets.csv", 2, "A3,FC01,2026-01-19,1000,\nA1,FC01,2026-01-19,5,"
        ),
        "INFEASIBLE: fixed_targets at FC01 need 1,500.5 m3 in week 2026-01-19, "
        "capacity 800",
        "Relax one of: fixed_targets (2 rows), capacity FC01 storage",
    ),
    "27 demand far from the usual": (
        small() | {"demand.csv": PEAK},
        "WARNING W41 demand: week 2026-01-19 is 14 times the median week",
        "A promotion? If not, check for a monthly figure",
    ),
    "stock that serves nobody": (
        changed("nodes.csv", 3, "FC01,fc,small,1,900")
        | {"inventory.csv": "item,node,on_hand\nA1,FC01,9\nA3,IN01,5\nA3,FC01,7\n",
           "fixed_targets.csv": None},
        "WARNING W45 inventory.csv:4: 7 units of 'A3' at 'FC01' serve nobody",
        "No lane leads on from there to a node that takes the item",
    ),
    "stock where no lane leads on": (
        small() | {"nodes.csv": small()["nodes.csv"] + "IN02,dc,,0.5,\n",
                   "inventory.csv": "item,node,on_hand\nA1,IN02,9\n"},
        "WARNING W45 inventory.csv:2: 9 units of 'A1' at 'IN02' serve nobody",
        "left out of the plan",
    ),
    "both formats": (
        small() | {"items.csv.gz": None, "items.parquet": "PAR1"},
        "ERROR E03 items.csv and items.parquet: table 'items' is there more than once",
        "Keep one of them",
    ),
    "two tables say what demand is": (
        small() | {"history.csv": "item,region,period,quantity\nA1,North,1,3\n"},
        "ERROR E03 demand.csv x history.csv: both demand and history are there",
        "Keep one: a forecast, past sales, or sample paths of your own",
    ),
    "no table says what demand is": (
        without("demand.csv"),
        "ERROR E02 demand.csv, history.csv, scenarios.csv: one of these tables is",
        "meio demo --write DIR",
    ),
    "binary file": (
        small() | {"items.csv": "PK\0\1"},
        "ERROR E06 items.csv:1: not UTF-8 text",
        "Save it as CSV UTF-8, or as Parquet",
    ),
    "not Parquet": (
        without("items.csv") | {"items.parquet": "item,unit_cost\n"},
        "ERROR E06 items.parquet: cannot be read",
        "Is it complete",
    ),
    "semicolons": (
        small() | {"items.csv": small()["items.csv"].replace(",", ";")},
        "ERROR E06 items.csv: cells are separated by ';'",
        "Separate them by commas",
    ),
    "ragged row": (
        changed("items.csv", 3, "A2,7,5,0.2,12,1,small"),
        "ERROR E06 items.csv:3: 7 cells, but the header has 6",
        "Put text that holds a comma in double quotes",
    ),
    "a workbook": (
        small() | {"regions.xlsx": "x"},
        "ERROR E01 regions.xlsx: not a table: .xlsx",
        "Save it as regions.csv or .parquet, or move it",
    ),
    "unknown column": (
        changed("lanes.csv", 1, "source,destination,lead_time,carrier"),
        "WARNING W16 lanes.csv: column 'carrier' is unknown and ignored",
        "Known: source, destination, lead_time",
    ),
    "column twice": (
        changed("lanes.csv", 1, "source,destination,lead_time,lead_time"),
        "ERROR E15 lanes.csv: column 'lead_time' is there twice",
        "Drop or rename one of them",
    ),
    "unknown word": (
        changed("capacities.csv", 2, "FC01,inbund,,400"),
        "ERROR E14 capacities.csv:2: resource = 'inbund': not a known resource",
        "Known: storage, inbound, outbound, items",
    ),
    "fixed targets of more items than a node may hold": (
        changed("capacities.csv", 2, "FC01,items,,0.5"),
        "INFEASIBLE: fixed_targets at FC01 need 1 item(s) in week 2026-01-12, "
        "capacity 0.5",
        "Relax one of: fixed_targets (1 rows), capacity FC01 items",
    ),
    "capacity twice": (
        changed("capacities.csv", 2, "FC01,storage,,400"),
        "ERROR E07 capacities.csv:2: storage capacity of 'FC01' is also given at "
        "nodes.csv:3",
        "Keep one of the two",
    ),
    "nothing says what a lost sale costs": (
        small() | {"items.csv": small()["items.csv"].replace("unit_price", "colour")},
        "ERROR E04 items.csv: one of the columns lost_sale_cost, backorder_cost",
        "They say what a lost sale costs",
    ),
    "sold below cost": (
        changed("items.csv", 2, "A1,5,0.1,4,0.5,small"),
        "ERROR E10 items.csv:2: unit_price - unit_cost = -1: must be 0 or more",
        "Correct them, or say what a lost sale costs",
    ),
    "no speeds": (
        without("speeds.csv"),
        "ERROR E36 ship_options.csv: several speeds (1-day, 2-day) but there is no",
        "Add speeds with the columns speed and promise_days",
    ),
    "no speed mix": (
        without("speed_mix.csv"),
        "ERROR E36 speed_mix: table is needed: there are 2 speeds",
        "Add speed_mix with the columns region, speed and share",
    ),
    "a region without speed mix": (
        small() | {"speed_mix.csv": "region,speed,share\nNorth,1-day,1\n"},
        "ERROR E34 speed_mix.csv: region 'West' has no speed mix",
        "Add its rows",
    ),
    "order hours not cumulative": (
        small() | {"order_hours.csv": "hour,share\n8,0.4\n16,0.3\n24,0.3\n"},
        "ERROR E34 order_hours.csv:3: share = 0.3: less than the hour before",
        "Shares are cumulative",
    ),
    "not a period of the plan": (
        changed("capacities.csv", 3, "FC01,storage,2026-03-02,800"),
        "ERROR E39 capacities.csv:3: period 2026-03-02 is not a period of the plan",
        "The plan has periods 2026-01-05 to 2026-01-26",
    ),
    "not a period": (
        changed("demand.csv", 2, "A1,North,week 1,10,2"),
        "ERROR E08 demand.csv:2: period = 'week 1': not a period",
        "Write a whole number, or a date such as 2026-01-12",
    ),
    "numbers and dates": (
        changed("demand.csv", 2, "A1,North,1,10,2"),
        "ERROR E37 demand.csv:2: periods mix numbers and dates: '1' and '2026-01-12'",
        "Use one of the two everywhere",
    ),
    "weeks called days": (
        small(),
        "WARNING W37 demand.csv: periods are 7 days apart, but units.period = 'day'",
        "Set units.period",
        Config(units=Units(period="day")),
    ),
    "infinite": (
        changed("items.csv", 2, "A1,inf,0.1,9,0.5,small"),
        "ERROR E11 items.csv:2: unit_cost = inf: too large to be true",
        "Is the unit right?",
    ),
    "unknown size class": (
        changed("nodes.csv", 4, "FC02,fc,small;bgi,1,700"),
        "WARNING W20 nodes.csv:4: no item has size class 'bgi'",
        "Did you mean 'big'?",
    ),
    "weights differ within a scenario": (
        without("demand.csv")
        | {"scenarios.csv": "scenario,item,region,period,quantity,weight\n"
           "s1,A1,North,2026-01-05,3,1\ns1,A1,North,2026-01-12,3,2\n"
           "s2,A1,North,2026-01-19,3,2\n", "inventory.csv": None},
        "ERROR E34 scenarios.csv:3: weight = 2: scenario 's1' has 1 at scenarios.csv:2",
        "A scenario has one weight",
    ),
    "quantiles swapped": (
        small()
        | {"demand.csv": "item,region,period,mean,p10,p90\nA1,North,1,9,12,6\n"},
        "ERROR E16 demand.csv:2: p10 = 12 is above p90 = 6",
        "Are the columns swapped?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_message_says_where_what_and_what_to_do(name, tmp_path, monkeypatch):
    files, what, advice, *config = CASES[name]
    write(tmp_path / "data", {k: v for k, v in files.items() if v is not None})
    monkeypatch.chdir(tmp_path)
    faults = check_folder("data", *config)
    lines = str(faults).splitlines()
    found = [k for k, line in enumerate(lines) if line.startswith(what)]
    assert found, faults
    assert advice in lines[found[0] + 1], faults


@pytest.mark.parametrize("name", ["9 column misnamed", "10 table missing",
                                  "21 file misnamed", "binary file", "not Parquet",
                                  "no speeds", "13 percent for share",
                                  "12 number as text", "5 NaN demand"])  # fmt: skip
def test_one_mistake_gives_one_error(name, tmp_path):
    files = {k: v for k, v in CASES[name][0].items() if v is not None}
    assert len(check_folder(write(tmp_path, files)).errors) == 1


def test_23_unknown_option():
    text = (
        '[problem]\nname = "x"\n\n[solver]\nmethod = "adam"\n\n# steps\nmax_evals = 3'
    )
    with pytest.raises(InputError, match=r"meio.toml:8: solver.max_evals: unknown key"):
        parse(text)


def test_infeasible_is_told_apart(tmp_path):
    files = CASES["26 infeasible hard limits"][0]
    assert check_folder(write(tmp_path / "a", files)).infeasible
    assert not check_folder(write(tmp_path / "b", small())).infeasible
    both = files | {"nodes.csv": small()["nodes.csv"].replace("dc", "depot")}
    assert not check_folder(write(tmp_path / "c", both)).infeasible


def test_all_faults_of_all_tables_come_at_once(tmp_path):
    files = CASES["3 negative lead time"][0]
    files |= {"speeds.csv": CASES["13 percent for share"][0]["speeds.csv"]}
    codes = {f.code for f in check_folder(write(tmp_path, files)).errors}
    assert codes == {"E10", "E12"}


def test_many_of_a_kind_are_counted(tmp_path):
    files = small() | {"demand.csv": DEMAND.replace(",10,", ",x,")}
    text = str(check_folder(write(tmp_path, files)))
    assert text.count("mean = 'x'") == 3
    assert "8 such rows. Remove units" in text
    assert "and 5 more of this kind" in text


def test_read_raises_what_it_cannot_read(tmp_path):
    with pytest.raises(InputError, match=r"E02 .*nowhere: no such folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"E01 inventry\.csv"):
        read(write(tmp_path, CASES["21 file misnamed"][0]))
