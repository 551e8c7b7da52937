//! Allotments against what trying everything finds, and against what must never happen.

use jouled_core::allot::{
    Answer, Choices, Chosen, Circuit, Effort, Load, Microwatts, Point, Question, Span, given, taken,
};
use proptest::prelude::*;

const W: Microwatts = 1_000_000;

/// Points by (watts, work), the place of the current one, and what a change costs.
type Row = (Vec<(i64, u8)>, usize, u8);

/// A question of loads by (watts, work), each at one of its points, and two circuits, one in the other.
fn question(rows: Vec<Row>, budget_w: i64) -> Question {
    let mut question = Question {
        budget: budget_w * W,
        circuits: vec![
            Circuit {
                parent: None,
                limit: Some(5_000 * W),
            },
            Circuit {
                parent: Some(0),
                limit: Some(2_000 * W),
            },
        ],
        ..Question::default()
    };
    for (points, current, cost) in rows {
        let first = question.points.len();
        let made = points.iter().map(|&(watts, work)| Point {
            power: watts * W,
            work: f64::from(work),
        });
        question.points.extend(made);
        question.loads.push(Load {
            choices: Choices::Points {
                first,
                last: question.points.len(),
                current: Some(current % points.len()),
            },
            circuit: None,
            priority: 5,
            weight: 1.0,
            change_cost: f64::from(cost),
        });
    }
    question
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let point = (0..3_000_i64, 0..60_u8);
    let row = (prop::collection::vec(point, 1..6), 0..6_usize, 0..4_u8);
    prop::collection::vec(row, 0..7)
}

fn point_of(question: &Question, load: usize, place: usize) -> (Point, f64) {
    let Choices::Points { first, current, .. } = question.loads[load].choices else {
        panic!("load {load} has a span");
    };
    let point = question.points[first + place];
    let cost = question.loads[load].change_cost;
    (
        point,
        point.work - if current == Some(place) { 0.0 } else { cost },
    )
}

fn count(question: &Question, load: usize) -> usize {
    match question.loads[load].choices {
        Choices::Points { first, last, .. } => last - first,
        Choices::Span(_) => 0,
    }
}

/// Power and worth.
fn sums(question: &Question, answer: &Answer) -> (Microwatts, f64) {
    let mut sums = (0, 0.0);
    for (load, chosen) in answer.chosen.iter().enumerate() {
        if let Chosen::Point(place) = *chosen {
            let (point, worth) = point_of(question, load, place);
            sums = (sums.0 + point.power, sums.1 + worth);
        }
    }
    sums
}

/// The best worth of the loads from `load` on, by trying everything.
fn best(question: &Question, load: usize, room: Microwatts) -> Option<f64> {
    if room < 0 {
        return None;
    }
    if load == question.loads.len() {
        return Some(0.0);
    }
    let worths = (0..count(question, load)).filter_map(|place| {
        let (point, worth) = point_of(question, load, place);
        Some(worth + best(question, load + 1, room - point.power)?)
    });
    worths.max_by(f64::total_cmp)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn exact_is_the_best_there_is(rows in rows(), budget_w in 0..9_000_i64) {
        let question = question(rows, budget_w);
        let answer = question.answer(Effort::Exact);
        let (power, worth) = sums(&question, &answer);
        if let Some(best) = best(&question, 0, question.budget) {
            prop_assert!(answer.crowded.is_empty() && power <= question.budget);
            prop_assert!((worth - best).abs() < 1e-6, "{worth} is not {best}");
        } else {
            prop_assert_eq!(answer.crowded.len(), 1);
        }
    }

    #[test]
    fn no_circuit_carries_too_much(rows in rows(), budget_w in 0..9_000_i64, seed in 0..1000_usize) {
        let mut question = question(rows, budget_w);
        for (at, load) in question.loads.iter_mut().enumerate() {
            load.circuit = [None, Some(0), Some(1)][(seed / (at + 1)) % 3];
        }
        let answer = question.answer(Effort::Quick);
        let limits = [(None, question.budget), (Some(0), 5_000 * W), (Some(1), 2_000 * W)];
        for (circuit, limit) in limits {
            let is_below = |at: &usize| match circuit {
                None => true,
                Some(0) => question.loads[*at].circuit.is_some(),
                _ => question.loads[*at].circuit == circuit,
            };
            let drawn: Microwatts = (0..question.loads.len())
                .filter(is_below)
                .map(|at| match answer.chosen[at] {
                    Chosen::Point(place) => point_of(&question, at, place).0.power,
                    Chosen::Power(power) => power,
                })
                .sum();
            let crowded = answer.crowded.iter().find(|each| each.circuit == circuit);
            prop_assert!(drawn <= crowded.map_or(limit, |each| each.least));
        }
    }

    #[test]
    fn more_budget_never_gives_less(rows in rows(), budget_w in 0..9_000_i64, more_w in 0..3_000_i64) {
        let mut question = question(rows, budget_w);
        let before = question.answer(Effort::Quick);
        let (_, worth) = sums(&question, &before);
        question.budget += more_w * W;
        let (_, later) = sums(&question, &question.answer(Effort::Quick));
        prop_assert!(!before.crowded.is_empty() || later >= worth - 1e-6, "{later} after {worth}");
    }
}

#[test]
fn a_span_takes_what_the_points_of_its_class_leave() {
    let mut question = question(vec![(vec![(0, 0), (1_000, 10)], 0, 0)], 1_300);
    question.loads.push(Load {
        choices: Choices::Span(Span {
            floor: 100 * W,
            need: 200 * W,
            ceiling: 500 * W,
        }),
        circuit: None,
        priority: 5,
        weight: 1.0,
        change_cost: 0.0,
    });
    let answer = question.answer(Effort::Quick);
    assert_eq!(answer.chosen, [Chosen::Point(1), Chosen::Power(300 * W)]);
}

#[test]
fn watts_are_rounded_to_the_safe_side() {
    assert_eq!(taken(0.1), 100_000);
    assert_eq!(taken(0.000_000_4), 1);
    assert_eq!(given(0.000_000_6), 0);
    assert_eq!(given(-0.5), -500_000);
    assert_eq!(given(f64::INFINITY), 4_000_000_000_000_000_000);
}
