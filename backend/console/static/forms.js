// Sends the forms of the pages to the API as JSON, with this tab's token, and says what came of it.
// A page's inside that needs a token (data-part) is asked for with it, and asked for again when it changed.
"use strict";
(() => {
  const TOKEN = "itsminer-token"; // of this tab
  const MOMENT = { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  const REGISTRATION = "itsminer-registration"; // of this browser until all is verified: the link in the mail opens a new tab
  const words = JSON.parse(document.body.dataset.words || "{}");
  const t = (text) => words[text] || text;
  const inside = document.getElementById("inside");
  const token = () => sessionStorage.getItem(TOKEN);

  function headers() {
    return token() ? { Authorization: "Bearer " + token() } : {};
  }

  function toLogin() {
    sessionStorage.removeItem(TOKEN);
    location.assign("/login");
  }

  function say(form, text, refused = false) {
    const said = form.querySelector(".said");
    said.textContent = text;
    said.classList.toggle("refused", refused);
  }

  // --- what follows on a form that was taken; `told` is the answer ---

  const THEN = {
    registered(told) {
      localStorage.setItem(REGISTRATION, told.registration);
      location.assign("/verify");
    },
    verified(told, form) {
      if (told.active) return active();
      say(form, t("The phone is verified.") + " " + t("Still to do: ") + told.waiting_for.join(", ") + ".");
    },
    logged_in(told) {
      sessionStorage.setItem(TOKEN, told.token);
      location.assign("/");
    },
    logged_out: toLogin,
    say(told, form) {
      form.reset();
      say(form, form.dataset.done);
    },
    show(told, form) {
      for (const place of form.querySelectorAll("[data-text]")) place.textContent = [told[place.dataset.text]].flat().join("\n");
      for (const place of form.querySelectorAll("[data-href]")) place.href = told[place.dataset.href];
      form.querySelector(".shown").hidden = false;
      if (form.dataset.done) say(form, form.dataset.done);
      const next = form.nextElementSibling;
      if (next && "afterShown" in next.dataset) next.hidden = false;
    },
    again: () => load(),
    again_or_show: (told, form) => (told.secret ? THEN.show(told, form) : load()),
  };

  function active() {
    localStorage.removeItem(REGISTRATION);
    location.assign("/login");
  }

  // --- sending ---

  const TYPES = { // data-type of a field → what is sent
    boolean: (value) => value === "true",
    number: Number,
    json: JSON.parse,
    moment: (value) => new Date(value).toISOString(), // typed in the reader's own time
    hours: (value) => new Date(Date.now() + value * 3600000).toISOString(),
  };

  // Names with dots are objects, `a.0.b` is a list of objects: one that lacks its needed field is left out.
  function body(form) {
    const sent = {};
    for (const field of form.elements) {
      if (!field.name || field.disabled) continue;
      const path = field.name.split(".");
      const last = path.pop();
      let at = sent;
      for (const name of path) at = at[name] = at[name] || {};
      if (field.multiple) at[last] = [...field.selectedOptions].map((option) => option.value);
      else if (field.value !== "") at[last] = (TYPES[field.dataset.type] || String)(field.value);
      else if (form.dataset.empty === "null") at[last] = null;
      else if (field.dataset.needed) at.isLeftOut = true;
    }
    const list = form.dataset.always;
    if (list) sent[list] = Object.values(sent[list] || {}).filter((each) => !each.isLeftOut);
    return sent;
  }

  addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-post], form[data-get], form[data-go]");
    if (!form) return;
    event.preventDefault();
    if (form.dataset.go) return location.assign(form.dataset.go + "?" + new URLSearchParams(body(form)));
    if (form.dataset.sure && !confirm(form.dataset.sure)) return;
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    say(form, "");
    try {
      if (form.dataset.get) return await fetchFile(form);
      const sent = body(form);
      const method = form.dataset.method || "POST";
      const options = { method, credentials: "omit", cache: "no-store", headers: headers() };
      if (form.elements.length > 1) { // more than its button: the API takes a body
        options.headers["Content-Type"] = "application/json";
        options.body = JSON.stringify(sent);
      }
      const answer = await fetch(form.dataset.post, options);
      const told = answer.status === 204 || answer.status === 202 && !isJson(answer) ? {} : await answer.json();
      if (answer.ok) return THEN[form.dataset.then](told, form);
      if (answer.status === 401 && token() && form.dataset.post !== "/v1/login") return toLogin();
      const more = form.querySelector('[data-for="' + (told.type || "").split(":").pop() + '"]');
      if (more) {
        more.hidden = false;
        more.querySelector("input").focus();
      }
      say(form, told.detail, true);
    } catch {
      say(form, t("The server cannot be reached. Please try again."), true);
    } finally {
      button.disabled = false;
    }
  });

  async function fetchFile(form) {
    const answer = await fetch(form.dataset.get, { headers: headers(), credentials: "omit", cache: "no-store" });
    if (!answer.ok) return say(form, (await answer.json()).detail, true);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = form.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  const isJson = (answer) => (answer.headers.get("Content-Type") || "").includes("json");

  // --- the inside of a page ---

  async function load() {
    if (!token()) return toLogin();
    let text;
    try {
      const answer = await fetch(inside.dataset.part + location.search, { headers: headers(), credentials: "omit", cache: "no-store" });
      if (answer.status === 401) return toLogin();
      text = answer.ok ? await answer.text() : null;
      if (text === null) return note((await answer.json()).detail);
    } catch {
      return note(t("The server cannot be reached. Please reload the page."));
    }
    inside.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes); // scripts in it never run
    for (const time of inside.querySelectorAll("time[data-show=moment]")) { // the reader's own time, with its zone
      time.title = time.textContent;
      time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, MOMENT);
    }
  }

  function note(text) {
    const said = document.createElement("p");
    said.className = "note";
    said.setAttribute("role", "alert");
    said.textContent = text;
    inside.replaceChildren(said);
  }

  // --- the start ---

  // Links for who is out, in, or in as a person and no program.
  const who = token() ? (token().startsWith("ims_") ? ["in", "person"] : ["in"]) : ["out"];
  for (const link of document.querySelectorAll("[data-who]")) link.hidden = !who.includes(link.dataset.who);
  const registration = localStorage.getItem(REGISTRATION);
  for (const part of document.querySelectorAll("[data-unless]")) {
    const field = part.querySelector("input");
    if (registration) field.value = registration;
    part.hidden = Boolean(registration);
  }
  addEventListener("storage", (event) => { // the link of the mail was opened in another tab, and it was the last step
    if (event.key === REGISTRATION && event.newValue === null && location.pathname === "/verify") location.assign("/login");
  });
  if (inside && inside.dataset.part) load();
})();
