// Says how long this page was open, when it is left; only where the server keeps the visit at all (not with DNT or GPC).
"use strict";
(() => {
  const visit = document.body.dataset.visit;
  if (!visit) return;
  addEventListener("pagehide", () => {
    const spent_s = Math.min(Math.round(performance.now() / 1000), 86400);
    const headers = { "Content-Type": "application/json" };
    fetch("/v1/visits/spent", { method: "POST", keepalive: true, credentials: "omit", headers, body: JSON.stringify({ visit, spent_s }) })
      .catch(() => {}); // nobody waits for it
  });
})();
