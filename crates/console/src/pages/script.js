(() => {
  "use strict";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const forms = {
    hm: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    day: { day: "numeric", month: "short" },
    clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    time: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  };
  const shown = (text, form) => {
    const at = new Date(text);
    return isNaN(at) ? null : at.toLocaleString(undefined, forms[form] || forms.time);
  };

  // Times in the viewer's zone.
  const localize = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const text = shown(time.dateTime, time.dataset.form);
      if (text) {
        time.title = time.dateTime;
        time.textContent = text;
      }
    }
    for (const tick of root.querySelectorAll("text[data-time]")) {
      const text = shown(tick.dataset.time, tick.dataset.form);
      if (text) tick.textContent = text;
    }
    for (const button of root.querySelectorAll("button.copy")) button.hidden = !navigator.clipboard;
  };

  // The numbers of a chart's table, under the pointer.
  const point = (event) => {
    const field = event.target.closest && event.target.closest("svg.field");
    const chart = field && field.closest("figure.chart");
    if (!chart) return;
    const box = field.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const rows = [...chart.querySelectorAll("tr[data-x]")];
    let best = null;
    for (const row of rows) {
      const away = Math.abs(row.dataset.x / 1000 - share);
      if (!best || away < best.away) best = { row, away };
    }
    if (!best) return;
    const names = [...chart.querySelectorAll("thead th")].map((cell) => cell.textContent);
    const values = [...best.row.cells].map((cell) => cell.textContent);
    chart.querySelector("output.readout").textContent =
      values[0] + names.slice(1).map((name, i) => " · " + name + " " + values[i + 1]).join("");
    const cursor = field.querySelector("line.cursor");
    const x = best.row.dataset.x / 10 + "%";
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
  };
  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);

  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("button.copy");
    if (!button) return;
    const code = button.parentElement.querySelector("code");
    navigator.clipboard.writeText(code.textContent).then(() => {
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  });

  // A new evaluation: the same page again, and of it what is alive.
  const focusable = "a, button, summary, input, select, [tabindex]";
  const replace = (before, after) => {
    const open = [...before.querySelectorAll("details")].map((one) => one.open);
    const focused = [...before.querySelectorAll(focusable)].indexOf(document.activeElement);
    after = document.importNode(after, true);
    localize(after);
    const details = after.querySelectorAll("details");
    if (details.length === open.length) details.forEach((one, i) => { one.open = open[i]; });
    before.replaceWith(after);
    const again = after.querySelectorAll(focusable)[focused];
    if (focused >= 0 && again) again.focus({ preventScroll: true });
  };
  let busy = false;
  const refresh = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const before of document.querySelectorAll("[data-live]")) {
        const after = page.getElementById(before.id);
        if (after && !before.contains(getSelectionNode())) replace(before, after);
      }
      lamp(true);
    } catch (_) {
      lamp(false);
    } finally {
      busy = false;
    }
  };
  const getSelectionNode = () => {
    const selection = getSelection();
    return selection && !selection.isCollapsed ? selection.anchorNode : null;
  };
  const lamp = (on) => {
    document.documentElement.classList.toggle("live", on);
    document.documentElement.classList.toggle("stale", !on);
  };

  localize(document);
  const note = document.getElementById("zone");
  if (note) note.textContent = "times in " + zone;
  if (document.querySelector("[data-live]") && window.EventSource) {
    const events = new EventSource("/events");
    let first = true;
    events.addEventListener("evaluated", () => {
      lamp(true);
      // The page is as new as the first event.
      if (!first) refresh();
      first = false;
    });
    events.addEventListener("error", () => { lamp(false); first = false; });
    document.addEventListener("visibilitychange", refresh);
  }
})();
