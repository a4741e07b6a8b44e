//! The scoreboard as text, at most 110 characters wide.

use std::fmt::Write as _;

use tinydancer_trainer::scoreboard::{
    Figure, LeftOutFigures, Method, PromiseFigures, RouterFigures, Scoreboard, Section,
};

/// The promise that stands for all in tables with one line a task, thousandths of regret.
const SHOWN_PROMISE: u16 = 50;

/// The whole board.
pub(super) fn render(board: &Scoreboard) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, board);
    text
}

fn write(out: &mut String, board: &Scoreboard) -> std::fmt::Result {
    heading(out, board)?;
    routers(out, board)?;
    kept(out, board)?;
    for router in board.routers.iter().filter(|router| !router.all.promises.is_empty()) {
        writeln!(out, "\n== {} ==", router.router)?;
        above(out, router)?;
        promises(out, router, board)?;
        sets(out, &router.all)?;
        tasks(out, router)?;
        if let Some(left_out) = &router.left_out {
            topics(out, left_out, &board.method)?;
        }
    }
    Ok(())
}

fn heading(out: &mut String, board: &Scoreboard) -> std::fmt::Result {
    let seeds: Vec<String> = board.seeds.iter().map(u64::to_string).collect();
    writeln!(out, "{} rows, {} folds, seeds {}", board.rows, board.folds, seeds.join(", "))?;
    match &board.method {
        Method::OutOfFold => writeln!(
            out,
            "out-of-fold: each row is judged by routers that were fitted, stopped and calibrated without its fold"
        )?,
        Method::LeaveOut(tag) => writeln!(
            out,
            "left out: each row is judged by routers that have seen no row with its value of {tag};\n\
             rows without a topic to leave out were only learned from ({} of {})",
            board.rows_known - board.rows,
            board.rows_known
        )?,
    }
    if let Some(router) = board.routers.first().filter(|_| board.given) {
        writeln!(
            out,
            "{} is an artifact that was given and judged as it is: {}",
            router.router, router.about
        )?;
    }
    writeln!(out, "data {}", board.data)?;
    writeln!(
        out,
        "quality: always Lightweight {:.3}, always Powerful {:.3}; a call to Powerful costs {} to Lightweight",
        board.always_lightweight, board.always_powerful, board.price_ratio
    )
}

/// So wide that every router's name fits.
fn name_width(board: &Scoreboard) -> usize {
    let names = board.routers.iter().map(|router| router.router.chars().count());
    names.max().unwrap_or_default().max(27)
}

fn routers(out: &mut String, board: &Scoreboard) -> std::fmt::Result {
    let width = name_width(board);
    writeln!(
        out,
        "\n{:<width$} {:<20} {:>5} {:>5}  {:<20} {:<20} {:>5}",
        "router", "APGR", "CPT50", "CPT80", "saving at 95 %", "ECE", "Brier"
    )?;
    for router in &board.routers {
        let Some(recovery) = &router.all.recovery else { continue };
        let calibration = router.all.calibration.as_ref();
        writeln!(
            out,
            "{:<width$} {:<20} {:>5.3} {:>5.3}  {:<20} {:<20} {:>5}",
            router.router,
            interval(&recovery.apgr),
            recovery.cpt50.value,
            recovery.cpt80.value,
            interval(&recovery.saving95),
            calibration.map_or_else(|| "-".to_owned(), |figures| interval(&figures.ece)),
            calibration.map_or_else(|| "-".to_owned(), |figures| format!("{:.3}", figures.brier.value)),
        )?;
    }
    if board.seeds.len() > 1 {
        writeln!(out, "\nlowest and highest of {} seeds", board.seeds.len())?;
        for router in &board.routers {
            let Some(recovery) = &router.all.recovery else { continue };
            let ece =
                router.all.calibration.as_ref().map_or_else(|| "-".to_owned(), |figures| range(&figures.ece));
            writeln!(
                out,
                "{:<width$} {:<20} {:<12} {:<20} {ece}",
                router.router,
                range(&recovery.apgr),
                "",
                range(&recovery.saving95),
            )?;
        }
    }
    Ok(())
}

/// What is left of the quality where the bill is cut by a given share.
fn kept(out: &mut String, board: &Scoreboard) -> std::fmt::Result {
    let recoveries = || {
        board
            .routers
            .iter()
            .filter_map(|router| Some((router.router.as_str(), router.all.recovery.as_ref()?)))
    };
    let Some((_, first)) = recoveries().next() else { return Ok(()) };
    let width = name_width(board);
    write!(out, "\n{:<width$}", "quality kept, of Powerful's")?;
    for kept in &first.kept {
        write!(out, " {:<20}", format!("{:.0} % saved", 100.0 * kept.saving))?;
    }
    writeln!(out)?;
    for (router, recovery) in recoveries() {
        write!(out, "{router:<width$}")?;
        for kept in &recovery.kept {
            write!(out, " {:<20}", interval(&kept.quality))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn above(out: &mut String, router: &RouterFigures) -> std::fmt::Result {
    for gain in &router.above {
        writeln!(out, "APGR above {:<27} {}", gain.over, signed(&gain.apgr))?;
    }
    Ok(())
}

fn promises(out: &mut String, router: &RouterFigures, board: &Scoreboard) -> std::fmt::Result {
    writeln!(
        out,
        "\n{:<16} {:<20} {:>11}  {:<20} {:<20}",
        "promised regret", "regret observed", "95 % bound", "to Lightweight", "quality"
    )?;
    for promise in &router.all.promises {
        writeln!(
            out,
            "{:<16.3} {:<20} {:>11.4}  {:<20} {:<20}",
            f64::from(promise.permille) / 1000.0,
            interval(&promise.regret),
            promise.regret_bound,
            interval(&promise.lightweight),
            interval(&promise.quality),
        )?;
    }
    writeln!(out, "{:<49}  {:<20} {:.3}", "always Powerful", "0", board.always_powerful)?;
    writeln!(out, "{:<49}  {:<20} {:.3}", "always Lightweight", "1", board.always_lightweight)
}

fn sets(out: &mut String, section: &Section) -> std::fmt::Result {
    if let Some(coverage) = &section.coverage {
        writeln!(
            out,
            "\nsets at .9 hold the true label: good enough {}, not good enough {}\n\
             sets with one label only: {:.3}",
            interval(&coverage.good_enough),
            interval(&coverage.not_good_enough),
            coverage.one_label.value
        )?;
    }
    if let Some(novel) = &section.novel {
        writeln!(out, "too new to be judged, so sent to Powerful: {}", interval(novel))?;
    }
    Ok(())
}

fn tasks(out: &mut String, router: &RouterFigures) -> std::fmt::Result {
    if router.tasks.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:<17} {:>6} {:<20} {:>5} {:>5} {:>6} {:>5} {:>6} {:>6} {:>5} {:>5} {:>5}",
        "task", "rows", "APGR", "CPT50", "CPT80", "saved", "ECE", "regret", "light.", "ok", "not", "novel"
    )?;
    let all = std::iter::once(("all", &router.all));
    for (task, section) in all.chain(router.tasks.iter().map(|(task, section)| (task.as_str(), section))) {
        writeln!(out, "{}", task_line(task, section))?;
    }
    writeln!(
        out,
        "regret and light. at the promise {:.3}; ok and not: coverage of the sets by true label",
        f64::from(SHOWN_PROMISE) / 1000.0
    )
}

fn task_line(task: &str, section: &Section) -> String {
    let value = |figure: Option<&Figure>| {
        figure.map_or_else(|| "-".to_owned(), |figure| format!("{:.3}", figure.value))
    };
    let recovery = section.recovery.as_ref();
    let promise = shown(section);
    let coverage = section.coverage.as_ref();
    format!(
        "{:<17} {:>6} {:<20} {:>5} {:>5} {:>6} {:>5} {:>6} {:>6} {:>5} {:>5} {:>5}",
        task.chars().take(17).collect::<String>(),
        section.rows,
        recovery.map_or_else(|| "-".to_owned(), |recovery| interval(&recovery.apgr)),
        value(recovery.map(|recovery| &recovery.cpt50)),
        value(recovery.map(|recovery| &recovery.cpt80)),
        value(recovery.map(|recovery| &recovery.saving95)),
        value(section.calibration.as_ref().map(|calibration| &calibration.ece)),
        value(promise.map(|promise| &promise.regret)),
        value(promise.map(|promise| &promise.lightweight)),
        value(coverage.map(|coverage| &coverage.good_enough)),
        value(coverage.map(|coverage| &coverage.not_good_enough)),
        value(section.novel.as_ref()),
    )
}

fn shown(section: &Section) -> Option<&PromiseFigures> {
    section.promises.iter().find(|promise| promise.permille == SHOWN_PROMISE)
}

fn topics(out: &mut String, left_out: &LeftOutFigures, method: &Method) -> std::fmt::Result {
    let Method::LeaveOut(tag) = method else { return Ok(()) };
    writeln!(
        out,
        "\nfolds of whole values of {tag}; promised regret {:.3}\n\
         mean over folds {:.4}, worst fold {:.4}; to Lightweight {:.3}; novel {:.3}",
        f64::from(left_out.permille) / 1000.0,
        left_out.mean,
        left_out.worst,
        left_out.lightweight,
        left_out.novel
    )?;
    writeln!(
        out,
        "{:<5} {:<5} {:>6}  {:<20} {:<20} {:<20} {:<20}",
        "seed", "fold", "rows", "APGR", "regret", "to Lightweight", "novel"
    )?;
    for fold in &left_out.folds {
        let promise = shown(&fold.figures);
        let text = |figure: Option<&Figure>| figure.map_or_else(|| "-".to_owned(), interval);
        writeln!(
            out,
            "{:<5} {:<5} {:>6}  {:<20} {:<20} {:<20} {:<20}",
            fold.seed,
            fold.fold,
            fold.figures.rows,
            text(fold.figures.recovery.as_ref().map(|recovery| &recovery.apgr)),
            text(promise.map(|promise| &promise.regret)),
            text(promise.map(|promise| &promise.lightweight)),
            text(fold.figures.novel.as_ref()),
        )?;
    }
    Ok(())
}

fn interval(figure: &Figure) -> String {
    format!("{:.3} [{:.3}, {:.3}]", figure.value, figure.low, figure.high)
}

fn signed(figure: &Figure) -> String {
    format!("{:+.3} [{:+.3}, {:+.3}]", figure.value, figure.low, figure.high)
}

fn range(figure: &Figure) -> String {
    let (low, high) = figure.range();
    format!("{low:.3} .. {high:.3}")
}
