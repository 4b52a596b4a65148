/**
 * The chart by keyboard; the text below the chart says what each key does.
 *
 * `pointed(candle)` is called with the candle that the crosshair was moved to, or null when it was taken away.
 */
export function chartKeys(node, chart, pointed) {
  const zoomIn = () => chart.zoom(1.25);
  const zoomOut = () => chart.zoom(0.8);
  const actions = {
    ArrowLeft: (event) => pointed(chart.step(event.shiftKey ? -10 : -1)),
    ArrowRight: (event) => pointed(chart.step(event.shiftKey ? 10 : 1)),
    PageUp: () => chart.scroll(-50),
    PageDown: () => chart.scroll(50),
    End: () => {
      chart.toNewest();
      pointed(null);
    },
    Escape: () => {
      chart.clear();
      pointed(null);
    },
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
