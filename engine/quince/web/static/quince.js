// What the pages do beyond links and forms: they follow what happens, and the keyboard moves through them.
"use strict";
(() => {
  const body = document.body, base = body.dataset.base;
  const answers = document.getElementById("answers");
  const lamp = document.querySelector(".live");

  // ---- live: the server says that something has changed; the parts that are marked are asked for again
  let asked = 0, running = false, again = false;
  const REST = 700; // milliseconds between two looks, whatever happens

  async function refresh() {
    if (running) { again = true; return; }
    running = true;
    try {
      const wait = asked + REST - Date.now();
      if (wait > 0) await new Promise((done) => setTimeout(done, wait));
      asked = Date.now();
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, credentials: "same-origin" });
      if (answer.status === 401) location.reload();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      outdated(answer.ok ? "" : fresh.querySelector("main p")?.textContent || AWAY);
      if (answer.ok) swap(fresh);
    } catch { /* the next change, or the next link, asks again */ } finally {
      running = false;
      if (again) { again = false; refresh(); }
    }
  }

  const AWAY = "The server does not answer.";
  function outdated(why) { // what is shown is as it was: that is said above it, until the page is live again
    let line = document.getElementById("old");
    lamp?.classList.toggle("on", !why && source?.readyState === EventSource.OPEN);
    if (!why) { line?.remove(); return; }
    if (!line) { line = document.createElement("p"); line.id = "old"; line.className = "answer bad"; document.querySelector("main").prepend(line); }
    line.textContent = `This page is no longer live. ${why}`;
  }

  function swap(fresh) {
    document.title = fresh.title || document.title;
    if (fresh.body.dataset.events && fresh.body.dataset.events !== body.dataset.events) {
      body.dataset.events = fresh.body.dataset.events; hush(); listen();
    }
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (!now || now.innerHTML === old.dataset.was) continue;
      old.dataset.was = now.innerHTML;
      if (old.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) continue;
      if (old.querySelector("details.sheet-of[open]")) continue;
      const open = new Map([...old.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
      const loaded = new Map([...old.querySelectorAll("[data-loaded]")].map((one) => [one.id, one]));
      const place = [...old.querySelectorAll(".at")].map((one) => one.id)[0];
      const bottom = old.matches("[data-follow]") && innerHeight + scrollY >= document.documentElement.scrollHeight - 60;
      old.innerHTML = now.innerHTML;
      for (const [id, was] of open) { const one = document.getElementById(id); if (one) one.open = was; }
      for (const [id, branch] of loaded) { document.getElementById(id)?.replaceWith(branch); renew(branch); }
      if (place) document.getElementById(place)?.classList.add("at");
      if (bottom) scrollTo(0, document.documentElement.scrollHeight);
      window.htmx?.process(old);
    }
  }

  async function renew(branch) { // what was unfolded by hand, if nothing below it was
    if (branch.querySelector("[data-loaded], .more + li") || !branch.closest("details").open) return;
    const answer = await fetch(branch.dataset.url, { credentials: "same-origin" });
    if (answer.ok && branch.isConnected) { branch.innerHTML = await answer.text(); window.htmx?.process(branch); }
  }

  let source = null;
  function listen() {
    if (source || !body.dataset.events) return;
    source = new EventSource(body.dataset.events);
    source.addEventListener("changed", refresh);
    source.addEventListener("open", () => { lamp?.classList.add("on"); if (asked || document.getElementById("old")) refresh(); });
    source.addEventListener("error", () => {
      outdated(AWAY);
      if (source?.readyState === EventSource.CLOSED) { hush(); setTimeout(() => { refresh(); listen(); }, 3000); } // it was refused: look why
    });
  }
  function hush() { source?.close(); source = null; lamp?.classList.remove("on"); }
  document.addEventListener("visibilitychange", () => { if (document.hidden) hush(); else { listen(); if (asked) refresh(); } });
  addEventListener("pagehide", hush);
  listen();

  // ---- controls: the answer is shown, and goes; a sheet closes when it is answered, or by Escape
  const asks = (event, now) => { // no second click while one is being answered
    const form = event.target.closest?.("form[hx-post]");
    for (const one of form?.querySelectorAll("button") ?? []) one.disabled = now;
    return form;
  };
  let shown = 0;
  document.addEventListener("htmx:beforeRequest", (event) => { if (asks(event, true)) answers?.replaceChildren(); });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = asks(event, false);
    if (!form) return;
    if (event.detail.successful) { form.closest("details")?.removeAttribute("open"); form.reset(); refresh(); }
    else if (!event.detail.xhr.status) say("the server does not answer");
    clearTimeout(shown);
    shown = setTimeout(() => answers?.replaceChildren(), 9000);
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target === answers && event.detail.xhr.status >= 400) {
      event.detail.shouldSwap = true; event.detail.isError = false;
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => { event.target.closest?.(".branch")?.setAttribute("data-loaded", ""); });
  document.addEventListener("toggle", (event) => {
    const one = event.target;
    if (!one.open || !one.matches?.("details.sheet-of")) return;
    for (const other of document.querySelectorAll("details.sheet-of[open]")) if (other !== one) other.open = false;
    one.querySelector("input:not([type=hidden]):not([type=checkbox]), textarea")?.focus();
  }, true);
  document.addEventListener("click", (event) => {
    for (const one of document.querySelectorAll("details.sheet-of[open]")) if (!one.contains(event.target)) one.open = false;
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("#all-rows")) for (const one of document.querySelectorAll("input[name=pid]")) one.checked = event.target.checked;
  });
  function say(text) {
    const line = document.createElement("div");
    line.className = "answer bad"; line.textContent = text; answers?.replaceChildren(line);
  }

  // ---- the keyboard
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((one) => one.offsetParent !== null);
  function move(by) {
    const all = rows(), at = all.findIndex((one) => one.classList.contains("at"));
    const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    if (!next) return;
    all[at]?.classList.remove("at");
    next.classList.add("at");
    next.scrollIntoView({ block: "nearest" });
  }
  const keys = {
    "/": () => document.querySelector("#search")?.select(),
    j: () => move(1), k: () => move(-1),
    x: () => document.querySelector(".at input[type=checkbox]")?.click(),
    o: () => document.querySelector("summary.at, .at summary")?.click(),
    "?": () => document.querySelector("#keys")?.toggleAttribute("open"),
    Enter: () => document.querySelector(".at a")?.click(),
    g: () => { location.href = `${base}/`; }, l: () => { location.href = `${base}/processes`; },
    u: () => document.querySelector("a[rel=up]")?.click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      for (const one of document.querySelectorAll("details.sheet-of[open], #keys[open]")) one.open = false;
      document.activeElement?.blur?.();
      return;
    }
    if (event.target.matches("input, textarea, select") || (event.key === "Enter" && event.target.matches("a, button, summary"))) return;
    const verb = document.querySelector(`details.sheet-of[data-key="${CSS.escape(event.key)}"]`);
    if (verb) { verb.open = true; event.preventDefault(); return; }
    if (keys[event.key]) { keys[event.key](); event.preventDefault(); }
  });
})();
