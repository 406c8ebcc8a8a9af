/* Sends forms marked data-rest with the method they mean, instead of tunnelling it
   through POST. Without this script the same forms work through the override, and but
   for the method the application sees the same: URL, fields, files, redirects.

   data-rest             take this form over
   data-rest-confirm     a question to ask first
   data-rest-remove      a selector: remove the closest such element on success
   Events on the form (they bubble): rest:done, rest:failed, detail.response.

   A redirect must be followed with GET, as after a form. fetch() does so for POST, but
   repeats PUT, PATCH and DELETE at the target of a 301 or 302 (Fetch standard, "HTTP-
   redirect fetch"): a view that deletes an item and leads to the list would have the
   list deleted too. It never shows a script where a redirect leads, and reads the page,
   which is then asked for twice: what is to be shown once ("Saved.") is lost. So requests
   say X-Rest-Form, and the override tween, or filter, answers 200 with that Location. */
(() => {
  "use strict";

  const FIELD = "_method";
  const REAL = ["PUT", "PATCH", "DELETE"];

  // HTML standard, "constructing the form data set": what URLSearchParams leaves to us.
  const lines = (text) => text.replace(/\r\n?|\n/g, "\r\n");
  const pair = ([name, value]) => [lines(name), lines(value.name ?? value)];

  const BODIES = {
    "application/x-www-form-urlencoded": (data) =>
      new URLSearchParams(Array.from(data, pair)),
    "multipart/form-data": (data) => data,
  };

  // What the button says (formaction="..."), else the form. The form is asked through
  // its prototype: a field that is called "action" hides form.action.
  const said = (form, button, name) =>
    button?.hasAttribute(`form${name}`)
      ? button[`form${name[0].toUpperCase()}${name.slice(1)}`]
      : Reflect.get(HTMLFormElement.prototype, name, form);

  // The last value counts, as for the server; what it may not mean, the server decides.
  const meant = (data) => {
    const texts = data.getAll(FIELD).filter((value) => typeof value === "string");
    const asked = texts.map((value) => value.trim().toUpperCase()).filter(Boolean);
    return REAL.includes(asked.at(-1)) ? asked.at(-1) : "POST";
  };

  const request = (form, button, body) => {
    const data = new FormData(form, button);
    const options = {
      method: meant(data),
      credentials: "same-origin",
      headers: { Accept: "text/html, */*;q=0.1", "X-Rest-Form": "1" },
      body: body(data),
    };
    return [said(form, button, "action"), options];
  };

  const tell = (form, text) => {
    let note = form.querySelector("[role=alert]");
    if (!note) {
      note = document.createElement("p");
      note.setAttribute("role", "alert");
      form.append(note);
    }
    note.textContent = text;
  };

  // What the page says that the server would have shown, else the status.
  const reason = async (response) => {
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const said = page.querySelector("[role=alert]");
    return said ? said.textContent.trim() : `${response.status} ${response.statusText}`;
  };

  const announce = (form, name, response) =>
    form.dispatchEvent(
      new CustomEvent(name, { bubbles: true, cancelable: true, detail: { response } })
    );

  // Where the server leads, else null. Without the tween fetch() has been there.
  // Browsers follow a redirect to no other scheme; javascript: would be run here.
  const target = (response) => {
    const said = response.status === 200 && response.headers.get("Location");
    if (!said) return response.redirected ? new URL(response.url) : null;
    try {
      const url = new URL(said, response.url);
      return /^https?:$/.test(url.protocol) ? url : null;
    } catch {
      return null; // the work is done all the same
    }
  };

  const go = (url) => {
    const here = location.href.split("#")[0];
    location.assign(url);
    // Only the fragment is new: the browser would show the old page.
    if (url.hash && url.href.split("#")[0] === here) location.reload();
  };

  const finish = (form, response) => {
    if (!announce(form, "rest:done", response)) return;
    const gone = form.dataset.restRemove && form.closest(form.dataset.restRemove);
    const url = target(response);
    if (gone) gone.remove();
    else if (url) go(url);
    else location.reload();
  };

  document.addEventListener("submit", async (event) => {
    const { target: form, submitter } = event;
    if (event.defaultPrevented || !form.matches("form[data-rest]")) return;
    const body = BODIES[said(form, submitter, "enctype")];
    // A search, a dialog or plain text is no matter of ours.
    if (said(form, submitter, "method") !== "post" || !body) return;
    event.preventDefault();
    const question = form.dataset.restConfirm;
    if (question && !window.confirm(question)) return;
    const [url, options] = request(form, submitter, body);
    const buttons = form.querySelectorAll(
      "button:enabled, input[type=submit]:enabled, input[type=image]:enabled"
    );
    buttons.forEach((button) => (button.disabled = true));
    try {
      const response = await fetch(url, options);
      if (response.ok) finish(form, response);
      else if (announce(form, "rest:failed", response))
        tell(form, await reason(response));
    } catch {
      tell(form, "The server could not be reached.");
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  });
})();
