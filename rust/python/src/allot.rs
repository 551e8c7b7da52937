//! `jouled._core.allot`: power for a fleet. It reads the named tuples of jouled.balance.fleet.words by place.

use jouled_core::allot::{
    Answer, Choices, Chosen, Circuit, Effort, LOAD_MAX_W, LOADS_MAX, Load, Microwatts, Point,
    Question, Span, given, taken,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

/// Larger works, weights and costs would be mistakes, and eat the digits of the others'.
const WORK_MAX: f64 = 1e15;
const WEIGHT_MAX: f64 = 1e9;

/// By load its point, None for one with a span, and its power in watts.
type Told<'py> = (Vec<Option<Bound<'py, PyAny>>>, Vec<f64>);
/// The same; the crowded circuits as (place, least, limit), -1 is the site; and whether it is exact.
type Allotted<'py> = (
    Vec<Option<Bound<'py, PyAny>>>,
    Vec<f64>,
    Vec<(i64, f64, f64)>,
    bool,
);

/// The best points and powers for `loads` (a list of jouled.balance.fleet.words.Load) within `budget_w` and
/// `circuits`, each as (the place of its parent or -1, its limit in watts or None). A load's circuit is found in
/// `places`. `order` has the places of the loads: where two are alike, the one that is earlier in it is served first.
///
/// Returns by load its Point, or None for one with a span, and its power in watts; the circuits which not even the
/// least of their loads keeps, as (place or -1 for the site, least, limit); and whether it is the exact optimum.
///
/// Raises ValueError where a number of a load cannot be: say which load and why.
#[pyfunction]
#[pyo3(signature = (loads: "list[object]", order: "list[int]", budget_w: "float", circuits: "list[tuple[int, float | None]]",
    places: "dict[str, int]", *, is_exact: "bool" = false)
    -> "tuple[list[object], list[float], list[tuple[int, float, float]], bool]")]
#[allow(clippy::needless_pass_by_value)] // made of a Python list, which cannot be borrowed
pub(crate) fn allot<'py>(
    py: Python<'py>,
    loads: &Bound<'py, PyList>,
    order: Vec<usize>,
    budget_w: f64,
    circuits: Vec<(i64, Option<f64>)>,
    places: &Bound<'py, PyDict>,
    is_exact: bool,
) -> PyResult<Allotted<'py>> {
    if loads.len() > LOADS_MAX {
        return Err(wrong(format!(
            "{} loads are more than {LOADS_MAX}",
            loads.len()
        )));
    }
    let circuits = circuits.into_iter().map(|(parent, limit_w)| Circuit {
        parent: usize::try_from(parent).ok(),
        limit: limit_w.map(given),
    });
    let mut question = Question {
        points: Vec::with_capacity(loads.len() * 12),
        loads: Vec::with_capacity(loads.len()),
        circuits: circuits.collect(),
        budget: given(budget_w),
    };
    let mut points: Vec<Bound<'py, PyTuple>> = Vec::with_capacity(loads.len());
    let mut read = Vec::with_capacity(loads.len());
    // In the order in which they lie in memory: to wait for that is what takes the time.
    for load in loads.iter() {
        let row = load.cast_into::<PyTuple>()?;
        let of_load = row.get_item(1)?.cast_into::<PyTuple>()?;
        read.push(read_load(&row, &of_load, places, &mut question.points)?);
        points.push(of_load);
    }
    for &at in &order {
        let load = read.get(at);
        let load = load.ok_or_else(|| wrong(format!("the order has no load {at}")))?;
        question.loads.push(load.clone());
    }
    let effort = if is_exact {
        Effort::Exact
    } else {
        Effort::Quick
    };
    let answer = py.detach(|| question.answer(effort));
    let (chosen, powers) = told(&points, &order, &answer)?;
    let crowded = answer.crowded.iter().map(|each| {
        let place = each.circuit.and_then(|at| i64::try_from(at).ok());
        (place.unwrap_or(-1), watts(each.least), watts(each.limit))
    });
    Ok((chosen, powers, crowded.collect(), answer.is_exact))
}

/// By load, in the order in which they were given, its point and its power.
fn told<'py>(
    points: &[Bound<'py, PyTuple>],
    order: &[usize],
    answer: &Answer,
) -> PyResult<Told<'py>> {
    let mut chosen_of = vec![None; points.len()];
    for (&at, chosen) in order.iter().zip(&answer.chosen) {
        chosen_of[at] = Some(*chosen);
    }
    let mut chosen = Vec::with_capacity(points.len());
    let mut powers = Vec::with_capacity(points.len());
    for (points, each) in points.iter().zip(chosen_of) {
        match each.ok_or_else(|| wrong("a load is not in the order".to_owned()))? {
            Chosen::Point(place) => {
                let point = points.get_item(place)?;
                powers.push(point.cast::<PyTuple>()?.get_item(1)?.extract()?);
                chosen.push(Some(point));
            }
            Chosen::Power(power) => {
                powers.push(watts(power));
                chosen.push(None);
            }
        }
    }
    Ok((chosen, powers))
}

/// A Load: id, points, span, current, circuit, priority, weight, change_cost.
fn read_load(
    row: &Bound<'_, PyTuple>,
    points: &Bound<'_, PyTuple>,
    places: &Bound<'_, PyDict>,
    all: &mut Vec<Point>,
) -> PyResult<Load> {
    let circuit = match row.get_item(4)? {
        none if none.is_none() => None,
        id => match places.get_item(&id)? {
            Some(place) => Some(place.extract()?),
            None => {
                return Err(of(
                    row,
                    &format!("hangs on circuit {id}, which there is not"),
                ));
            }
        },
    };
    let span = row.get_item(2)?;
    let choices = match (span.is_none(), points.is_empty()) {
        (true, false) => read_points(row, points, all)?,
        (false, true) => Choices::Span(read_span(row, span.cast::<PyTuple>()?)?),
        _ => return Err(of(row, "must have either points or a span")),
    };
    Ok(Load {
        choices,
        circuit,
        priority: row.get_item(5)?.extract()?,
        weight: number(row, "weight", &row.get_item(6)?, WEIGHT_MAX)?,
        change_cost: number(row, "change cost", &row.get_item(7)?, f64::MAX)?,
    })
}

fn read_points(
    row: &Bound<'_, PyTuple>,
    points: &Bound<'_, PyTuple>,
    all: &mut Vec<Point>,
) -> PyResult<Choices> {
    let name = row.get_item(3)?;
    let name = name.cast::<PyString>().ok();
    let name = name.map(|name| name.to_str()).transpose()?;
    let first = all.len();
    let mut current = None;
    for place in 0..points.len() {
        // Borrowed: a hundred thousand points are read, and their counters are not in the cache.
        let point = points.get_borrowed_item(place)?;
        let point = point.cast::<PyTuple>()?;
        if let (Some(name), None) = (name, current)
            && point.get_borrowed_item(0)?.cast::<PyString>()?.to_str()? == name
        {
            current = Some(place);
        }
        let power_w = number(row, "power", &*point.get_borrowed_item(1)?, LOAD_MAX_W)?;
        all.push(Point {
            power: taken(power_w),
            work: number(row, "work", &*point.get_borrowed_item(2)?, WORK_MAX)?,
        });
    }
    Ok(Choices::Points {
        first,
        last: all.len(),
        current,
    })
}

fn read_span(row: &Bound<'_, PyTuple>, span: &Bound<'_, PyTuple>) -> PyResult<Span> {
    let floor_w = number(row, "floor", &span.get_item(0)?, LOAD_MAX_W)?;
    let ceiling_w = number(row, "ceiling", &span.get_item(1)?, LOAD_MAX_W)?;
    if floor_w > ceiling_w {
        return Err(of(
            row,
            &format!("has a floor of {floor_w} W above its ceiling of {ceiling_w} W"),
        ));
    }
    let need = span.get_item(2)?;
    let need_w = if need.is_none() {
        ceiling_w
    } else {
        number(row, "need", &need, f64::MAX)?
    };
    let (floor, ceiling) = (taken(floor_w), given(ceiling_w).max(taken(floor_w)));
    Ok(Span {
        floor,
        need: taken(need_w).clamp(floor, ceiling),
        ceiling,
    })
}

/// A number that is not negative, and no more than `most`.
fn number(
    row: &Bound<'_, PyTuple>,
    what: &str,
    value: &Bound<'_, PyAny>,
    most: f64,
) -> PyResult<f64> {
    let number: f64 = value.extract()?;
    if number.is_finite() && (0.0..=most).contains(&number) {
        return Ok(number);
    }
    Err(of(
        row,
        &format!("has a {what} of {number}: it must be 0 to {most:e}"),
    ))
}

fn of(row: &Bound<'_, PyTuple>, problem: &str) -> PyErr {
    match row.get_item(0) {
        Ok(id) => wrong(format!("load {id} {problem}")),
        Err(error) => error,
    }
}

fn wrong(problem: String) -> PyErr {
    PyValueError::new_err(problem)
}

fn watts(power: Microwatts) -> f64 {
    power as f64 / 1e6
}
