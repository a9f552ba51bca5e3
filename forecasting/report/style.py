"""The report's style sheet and its paragraph on methods."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --ink: #30343b; --soft: #656c78;
  --line: #d9dce1; --wash: #f4f5f7; --good: #00745a; --bad: #a94400; --hue: 0 114 178; }
@media (prefers-color-scheme: dark) { :root { --paper: #1b1f25; --ink: #d3d7de; --soft: #99a1ad;
  --line: #3a4049; --wash: #252a32; --good: #2fc29a; --bad: #f0904a; --hue: 86 180 233; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .2rem 0 1rem; letter-spacing: -.01em; }
h2 { font-size: 1.1rem; margin: 2.6rem 0 .5rem; }
p { margin: .4rem 0; max-width: 46rem; }
section > p, .note { color: var(--soft); font-size: .92rem; }
.brow { color: var(--soft); font-size: .85rem; margin: 0; }
.label { display: inline-block; margin-left: .5rem; padding: .05rem .55rem; border-radius: 1rem;
  border: 1px solid var(--bad); color: var(--bad); font-weight: 600; }
.verdict { border-left: 4px solid var(--bad); background: var(--wash); border-radius: 0 8px 8px 0;
  padding: .4rem 1.1rem; }
.verdict.promote { border-color: var(--good); }
.verdict ul { list-style: none; margin: 0; padding: 0; }
.verdict li { display: flex; gap: .8rem; padding: .5rem 0; }
.verdict li + li { border-top: 1px solid var(--line); }
.verdict p { margin: 0; color: var(--soft); font-size: .92rem; }
.verdict p + p { color: var(--ink); }
.verdict i { font-style: normal; font-size: .8rem; margin-left: .3rem; }
.mark { font-weight: 700; font-size: 1.1rem; line-height: 1.4; }
.held .mark, .held i { color: var(--good); }
.failed .mark, .failed i { color: var(--bad); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr));
  gap: .8rem 1.4rem; margin: 1.4rem 0 0; }
.facts dt { color: var(--soft); font-size: .78rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; font-size: .92rem; }
img { width: 100%; height: auto; display: block; margin: .6rem 0; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem;
  font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; font-size: .8rem; }
th, td { text-align: right; padding: .38rem .55rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: .3rem; }
tr.judged td { background: var(--wash); font-weight: 600; }
.confusion { width: auto; }
.confusion td { text-align: center; min-width: 7rem; padding: .6rem;
  background: rgb(var(--hue) / calc(var(--w) * .45)); border: 2px solid var(--paper); }
.confusion th { border: 0; text-align: center; }
.confusion small { display: block; color: var(--soft); }
"""

METHODS: Final = """
<p>Every forecast here was made by a model that had seen only earlier bars, with the bars around
the border left out so that no target reaches across it, and with intervals calibrated on earlier
forecasts only. The first fold is spent on that calibration and is not scored.</p>
<p>A loss is the pinball loss averaged over the five published quantiles, divided by the
volatility known when the forecast was made times the square root of the horizon. CRPS is
twice the integral of that loss over all levels, by the midpoint rule. Horizons are averaged with
weights 1/h, because of forecasts h bars ahead only one in h is new evidence. Skill is one minus the loss
over the random walk's. The random walk forecasts no move, with its own calibrated intervals.</p>
<p>Tests work on one number per period, the mean over symbols, because symbols that move together
are not independent evidence. Diebold and Mariano's statistic divides the mean gain by a long-run
deviation from the slowest cosines of the series, as many as the overlap of the forecasts allows,
and is judged by Student's t with that many degrees of freedom, one-sided (Coroneo and Iacone). Hansen's
SPA test, which counts that the best candidate was picked, and the model confidence set take the
laws of their statistics from the same asymptotics. Settings that a search tried never saw the test spans; the p-value is deflated by
their effective number all the same (Sidak; Bailey and Lopez de Prado). The directional hit rate
counts only forecasts that do not overlap, and its Wilson interval their effective number. Sharpe
intervals follow Lo and Mertens, deflated Sharpe ratios Bailey and Lopez de Prado.</p>
<p>What this cannot say: the symbols were chosen by hand and have survived, so their past is
kinder than the market's; the backtest assumes fills at the close after one bar, fixed costs and
no limit on size; past skill, where there is any, may end. Per-horizon and per-symbol tests are not corrected for their number; the verdict rests on
the pooled ones. None of this is investment advice.</p>
"""
