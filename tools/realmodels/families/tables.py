"""pandas: frames, series and indexes of every kind."""

import pickle

import numpy as np
import pandas as pd

WHEN = pd.date_range("2020-01-01", periods=4, freq="D")


def values():
    frame = pd.DataFrame({"i": range(4), "f": np.arange(4) / 3, "s": list("abcd"), "b": [True, False] * 2, "t": WHEN})
    yield "frame", frame
    yield "frame-mixed-index", frame.set_index(["s", "i"])
    yield "frame-empty", pd.DataFrame()
    yield "frame-attrs", frame.assign(x=1).rename_axis("rows")
    yield "frame-columns-multi", pd.DataFrame(np.eye(4), columns=pd.MultiIndex.from_product([["a", "b"], [1, 2]]))
    yield "frame-category", frame.assign(c=pd.Categorical(list("abab"), categories=["a", "b", "z"], ordered=True))
    yield "frame-extension", frame.convert_dtypes()
    yield "frame-sparse", pd.DataFrame({"x": pd.arrays.SparseArray([0, 0, 1, 0])})
    yield "frame-objects", pd.DataFrame({"o": [{"a": 1}, [1], None, (2,)]})
    yield "frame-tz", pd.DataFrame({"t": WHEN.tz_localize("Europe/Berlin"), "u": WHEN.tz_localize("UTC")})
    yield "frame-describe", frame.describe()
    yield "series-int", pd.Series([1, 2], name="n")
    yield "series-nullable", pd.Series([1, None], dtype="Int64")
    yield "series-float-nullable", pd.Series([1.5, None], dtype="Float32")
    yield "series-boolean", pd.Series([True, None], dtype="boolean")
    yield "series-string", pd.Series(["a", None], dtype="string")
    yield "series-category-int", pd.Series([1, 2, 1], dtype="category")
    yield "series-interval", pd.Series(pd.interval_range(0, 3))
    yield "series-period", pd.Series(pd.period_range("2020-01", periods=3, freq="M"))
    yield "series-timedelta", pd.Series(pd.to_timedelta([1, 2], unit="h"))
    yield "series-tz-fixed", pd.Series(WHEN.tz_localize("+02:00"))
    yield "index-range", pd.RangeIndex(5, name="r")
    yield "index-int", pd.Index([3, 1, 2])
    yield "index-float", pd.Index([0.5, 1.5])
    yield "index-uint", pd.Index(np.array([1, 2], dtype="uint8"))
    yield "index-object", pd.Index(["a", 1, None])
    yield "index-multi", pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"])
    yield "index-datetime", WHEN
    yield "index-datetime-tz", WHEN.tz_localize("US/Eastern")
    yield "index-timedelta", pd.timedelta_range("1h", periods=3)
    yield "index-period", pd.period_range("2020-01", periods=3, freq="Q")
    yield "index-category", pd.CategoricalIndex(list("aba"))
    yield "index-interval", pd.IntervalIndex.from_breaks([0, 1, 2])
    yield "timestamps", [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01", tz="Asia/Tokyo"), pd.NaT, pd.NA]
    yield "timedeltas", [pd.Timedelta("1d2h"), pd.Period("2020Q1"), pd.Interval(0, 1)]
    for name in ("Day", "BDay", "MonthEnd", "QuarterBegin", "Week", "BusinessHour", "DateOffset", "CustomBusinessDay", "Hour", "Easter", "FY5253"):
        yield "offset-" + name.lower(), getattr(pd.offsets, name)()
    yield "dtypes", [pd.CategoricalDtype(["a"]), pd.DatetimeTZDtype(tz="UTC"), pd.PeriodDtype("M"), pd.IntervalDtype("int64"), pd.StringDtype(),
                     pd.Int64Dtype(), pd.SparseDtype(float)]
    yield "groupby-result", frame.groupby("b").mean(numeric_only=True)
    yield "resampled", frame.set_index("t").resample("2D").sum(numeric_only=True)


def add(shelf):
    v = pd.__version__
    for i, (name, value) in enumerate(values()):
        shelf.bytes(f"pandas/{name}.pkl", "benign", "pandas+pickle", v, lambda x=value, p=(4, 5, 3, 2, 1, 0)[i % 6]: pickle.dumps(x, protocol=max(p, 2 if isinstance(x, pd.DateOffset) else 0)))
    frame = pd.DataFrame({"i": range(100), "t": pd.date_range("2020-01-01", periods=100, tz="UTC"), "c": pd.Categorical(["a", "b"] * 50)})
    for compression in ("gzip", "bz2", "xz", "zip", "tar"):
        shelf.add(f"pandas/frame.pkl.{compression}", "benign", "pandas.to_pickle", v, lambda target, c=compression: frame.to_pickle(target, compression=c))
    for protocol in range(6):
        shelf.add(f"pandas/frame-protocol{protocol}.pkl", "benign", "pandas.to_pickle", v, lambda target, p=protocol: frame.to_pickle(target, protocol=p))
    shelf.add("pandas/frame.json", "benign", "pandas.to_json", v, lambda target: frame.to_json(target))
    shelf.add("pandas/frame.csv.gz", "benign", "pandas.to_csv", v, lambda target: frame.to_csv(target))
