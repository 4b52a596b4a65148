/** The chart by keyboard: what each key does, told by the text below the chart as well. */
export function chartKeys(node, chart, announce) {
  const zoomIn = () => chart.zoom(1.25);
  const zoomOut = () => chart.zoom(0.8);
  const actions = {
    ArrowLeft: (event) => announce(chart.step(event.shiftKey ? -10 : -1)),
    ArrowRight: (event) => announce(chart.step(event.shiftKey ? 10 : 1)),
    PageUp: () => chart.scroll(-50),
    PageDown: () => chart.scroll(50),
    End: () => chart.toNewest(),
    Escape: () => chart.clear(),
    "+": zoomIn,
    "=": zoomIn,
    "-": zoomOut,
  };
  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in actions)) return;
    event.preventDefault();
    actions[event.key](event);
  });
}
