// Keeps the first page live: asks this server for the farm every few seconds and swaps it in.
// The token comes from the address's fragment (which browsers never send) or from the form, and stays in this tab.
"use strict";

(() => {
  const EVERY_MS = 5000;
  const SLOWEST_MS = 60000;
  const KEY = "itsminer-token";
  const words = JSON.parse(document.body.dataset.words || "{}");
  const t = (text) => words[text] || text;
  const find = (id) => document.getElementById(id);
  const farm = find("farm"), ask = find("ask"), lost = find("lost"), live = find("live"), said = find("said");

  let token = null;
  let etag = null; // of what is shown
  let shownView = null; // the query that `etag` belongs to
  let shownTitle = "ItsMiner"; // of the tab, while there is a connection
  let heardAt = null; // when the server last answered
  let lostAt = null;
  let failures = 0;
  let tookMs = 0; // the last time, from asking to shown
  let timer = 0;
  let request = null;

  // --- the token ---

  function takeToken() {
    const match = /[#&]token=([^&]+)/.exec(location.hash);
    if (match) {
      sessionStorage.setItem(KEY, match[1]); // of letters that need no decoding
      history.replaceState(null, "", location.pathname + location.search); // out of the address and the history
    }
    return sessionStorage.getItem(KEY);
  }

  function askForToken(why) {
    stop();
    token = etag = heardAt = lostAt = null;
    document.title = shownTitle = "ItsMiner";
    sessionStorage.removeItem(KEY);
    farm.replaceChildren();
    lost.hidden = true;
    find("forget").hidden = true;
    showWays();
    ask.hidden = false;
    find("ask-refused").textContent = why;
    find("ask-refused").hidden = !why;
    say("none", t("not connected"));
    find("token").focus();
  }

  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    const value = find("token").value.trim();
    if (!value) return;
    find("token").value = "";
    sessionStorage.setItem(KEY, value);
    start();
  });
  find("forget").addEventListener("click", async () => {
    if (isSession()) {
      const headers = { Authorization: "Bearer " + token };
      await fetch("/v1/logout", { method: "POST", headers, credentials: "omit" }).catch(() => {}); // it ends by itself
    }
    askForToken("");
  });
  const isSession = () => Boolean(token) && token.startsWith("ims_"); // of who logged in, not of a program
  addEventListener("hashchange", start);

  function showWays() {
    const who = token ? (isSession() ? ["in", "person"] : ["in"]) : ["out"];
    for (const link of document.querySelectorAll("[data-who]")) link.hidden = !who.includes(link.dataset.who);
  }

  // --- asking ---

  function start() {
    token = takeToken();
    if (!token) return askForToken("");
    ask.hidden = true;
    find("forget").hidden = false;
    find("forget").textContent = t(isSession() ? "Log out" : "Forget token");
    showWays();
    etag = null;
    failures = 0;
    load();
  }

  function stop() {
    clearTimeout(timer);
    if (request) request.abort();
    request = null;
  }

  async function load() {
    stop();
    if (!token) return;
    const mine = (request = new AbortController());
    const deadline = setTimeout(() => mine.abort("slow"), 20000);
    const view = location.search;
    const asked = Date.now();
    try {
      const headers = { Authorization: "Bearer " + token };
      if (etag && shownView === view) headers["If-None-Match"] = etag;
      const answer = await fetch("/console/farm" + view, { headers, cache: "no-store", credentials: "omit", signal: mine.signal });
      if (answer.status === 401 || answer.status === 403) {
        return askForToken(t("The server does not take that token: it was mistyped, revoked or has ended. Log in again, or enter another."));
      }
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error("the server answered " + answer.status);
        const text = await answer.text();
        if (mine !== request) return;
        if (!selecting() || shownView !== view) { // while somebody copies text it stays until the next time
          show(text);
          etag = answer.headers.get("ETag");
          shownView = view;
        }
      }
      if (mine === request) connected();
    } catch (error) {
      if (mine === request) disconnected(mine.signal.reason === "slow" ? "no answer" : error.message);
    } finally {
      clearTimeout(deadline);
      if (mine === request) {
        request = null;
        tookMs = Date.now() - asked;
        schedule();
      }
    }
  }

  function schedule() {
    clearTimeout(timer);
    if (!token || document.hidden) return;
    // Less often while it fails, and where showing takes long: a phone that shows a thousand rows.
    timer = setTimeout(load, Math.min(Math.max(EVERY_MS * 2 ** Math.min(failures, 4), 10 * tookMs), SLOWEST_MS));
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : token && load()));
  addEventListener("online", () => token && load());

  // --- showing ---

  function selecting() {
    const selection = getSelection();
    return selection && !selection.isCollapsed && farm.contains(selection.anchorNode);
  }

  function show(text) {
    const parsed = new DOMParser().parseFromString(text, "text/html"); // scripts in it never run
    const focused = document.activeElement && document.activeElement.dataset.key;
    const scroll = farm.querySelector(".scroll");
    const left = scroll ? scroll.scrollLeft : 0;
    const open = [...farm.querySelectorAll("details[open]")].map((details) => details.id);
    const typed = find("search") && find("search") === document.activeElement ? find("search").value : null;
    farm.replaceChildren(...parsed.body.childNodes);
    if (typed !== null && find("search")) find("search").value = typed;
    for (const id of open) if (find(id)) find(id).open = true;
    const again = farm.querySelector(".scroll");
    if (again) again.scrollLeft = left;
    if (focused) {
      const target = farm.querySelector('[data-key="' + CSS.escape(focused) + '"]');
      if (target) target.focus({ preventScroll: true });
    }
    tick();
    const summary = farm.querySelector("[data-summary]");
    const words = summary ? summary.dataset.summary : "";
    if (said.textContent !== words) said.textContent = words; // read aloud only when it changed
    shownTitle = (summary && summary.dataset.title) || "ItsMiner";
  }

  function connected() {
    heardAt = Date.now();
    lostAt = null;
    failures = 0;
    lost.hidden = true;
    farm.classList.remove("stale");
    document.title = shownTitle;
    tick();
  }

  function disconnected(why) {
    failures += 1;
    lostAt = lostAt || heardAt || Date.now();
    farm.classList.add("stale");
    const what = t(heardAt ? "Connection lost since " : "No connection since ");
    const then = " " + t(heardAt ? "What you see is old. Trying again by itself." : "Trying again by itself.");
    const text = what + clock(new Date(lostAt)) + " (" + why + ")." + then;
    if (lost.textContent !== text) lost.textContent = text;
    lost.hidden = false;
    document.title = "⚠ ItsMiner";
    tick();
  }

  function say(link, words) {
    live.dataset.link = link;
    find("live-text").textContent = words;
  }

  const two = (n) => String(n).padStart(2, "0");
  const clock = (date) => two(date.getHours()) + ":" + two(date.getMinutes());

  function age(ms) {
    const s = Math.max(0, Math.round(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    if (s < 60) return s + " s";
    if (m < 60) return m + " min";
    if (h < 24) return h + " h " + (m % 60 ? (m % 60) + " min" : "");
    return d + " d " + (h % 24 ? (h % 24) + " h" : "");
  }

  // Times: the server sends them absolute, so that an unchanged farm is an unchanged answer.
  function tick() {
    const now = Date.now();
    for (const time of farm.querySelectorAll("time[data-show]")) {
      const at = new Date(time.dateTime);
      const old = now - at > 86400000;
      const text = time.dataset.show === "age" ? age(now - at) + t(" ago") : (old ? at.toLocaleDateString() + " " : "") + clock(at);
      if (time.textContent !== text) time.textContent = text;
      time.title = at.toLocaleString();
    }
    if (lostAt) say("down", t("no connection for ") + age(now - lostAt));
    else if (heardAt) say("up", t("live") + " · " + clock(new Date(heardAt)) + ":" + two(new Date(heardAt).getSeconds()));
  }
  setInterval(() => !document.hidden && tick(), 1000);

  // --- filters and sorting: links of this page, without a reload ---

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-view]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    getSelection().removeAllRanges();
    history.pushState(null, "", link.getAttribute("href"));
    load();
  });
  addEventListener("popstate", () => token && load());

  function search() {
    const query = new URLSearchParams(location.search);
    for (const [name, field] of [["q", find("search")], ["site", find("site")]]) {
      if (field && field.value.trim()) query.set(name, field.value.trim());
      else query.delete(name);
    }
    query.delete("page");
    history.pushState(null, "", query.size ? "/?" + query : "/");
    load();
  }
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-search]")) return;
    event.preventDefault();
    search();
  });
  document.addEventListener("change", (event) => event.target.id === "site" && search());

  start();
})();
