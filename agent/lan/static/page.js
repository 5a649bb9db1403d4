// Keeps what is marked data-live as it is now, without moving the reader. Without this script the page is still whole.
"use strict";

const EVERY_MS = 5000;
const here = new URL(location.href);
here.username = here.password = ""; // of a link that carries them: fetch refuses such an address
const lost = document.getElementById("lost");

function opened(part) {
  return new Map([...part.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
}

function replace(part, fresh) {
  if (part.innerHTML === fresh.innerHTML || part.contains(document.activeElement) && document.activeElement !== document.body) return;
  if (!document.getSelection().isCollapsed && part.contains(document.getSelection().anchorNode)) return;
  const before = opened(part);
  part.replaceChildren(...fresh.childNodes);
  for (const one of part.querySelectorAll("details[id]")) if (before.has(one.id)) one.open = before.get(one.id);
}

async function renew() {
  if (document.hidden) return;
  try {
    const answer = await fetch(here, { signal: AbortSignal.timeout(EVERY_MS) });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const paused = (whole) => whole.querySelector(".lost.paused") !== null;
    if (paused(page) !== paused(document)) return location.reload();
    for (const fresh of page.querySelectorAll("[data-live]")) {
      const part = document.querySelector(`[data-live="${fresh.dataset.live}"]`);
      if (part) replace(part, fresh);
    }
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
}

if (document.querySelector("[data-live]")) setInterval(renew, EVERY_MS);
