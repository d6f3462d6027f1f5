"""What runs in the visitor's browser: keys are made, read from files and saved there.

Each constant is a JavaScript function for an event's `js`; its arguments are the event's inputs.
"""

from __future__ import annotations

import json

from demo.examples import examples, public_keys
from demo.words import EXAMPLE, QUEUE_PLACE, STALE
from kfaar_core import keyring, keys

_NEW = f"""{keys.before_digits(keys.IN_FORCE)!r} + Array.from(
  crypto.getRandomValues(new Uint8Array(Number(bits) / 8)), (b) => b.toString(16).padStart(2, "0")).join("")"""

MAKE_KEY = f"(bits) => {_NEW}"  # -> a new key's text

# (count, bits) -> that many keys, one a line
MAKE_KEYS = f"""(count, bits) => Array.from({{length: Number(count)}}, () => {_NEW}).join("\\n")"""

# (key) -> that of a file which the visitor chooses, or the same key when they choose none. Of a file that holds more
# (kfaar_core.keyring) it takes the master, and whom the owner's key remembers.
LOAD_KEY = """(key) => new Promise((answer) => {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = ".key,.json,.txt,text/plain,application/json";
  input.onchange = async () => {
    kfaar.remembers = false;
    if (!input.files.length) return answer(key);
    const text = (await input.files[0].text()).trim();
    try {
      const {master, people} = JSON.parse(text), owner = people.find((person) => person.label === null);
      if (master && owner?.enrolled) { kfaar.hold(owner.enrolled); kfaar.remembers = true; }
      if (master) return answer(master);
    } catch {}  // it is a plain key
    answer(text.slice(0, 200));
  };
  input.oncancel = () => answer(key);
  input.click();
})"""

# (ticked) after a key file was read -> whether the key shall show a remembered person
REMEMBERS = "(ticked) => ticked || kfaar.remembers"

_SAVE = """
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
"""

# What the other functions share, set up when the page has come. By the ids of places of results, `asked` is the input
# as it was when the button was pressed, and `results` the input that what stands there is of. `made` is the key of the
# picture that is shown, with the name that both are saved under. `held` are sealed people whom keys remember, as base64
# (demo.remember): sixteen at most, as all are sent with every photo. They are variables of this page: nothing is
# stored, and closing the page forgets them.
KIT = f"""() => {{
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  window.kfaar = {{
    asked: {{}}, made: null, results: {{}}, held: [], remembers: false,
    hold: (sealed) => {{
      if (sealed) kfaar.held = [sealed, ...kfaar.held.filter((other) => other !== sealed)].slice(0, 16);
    }},
    place: (id) => document.getElementById(id),
    stale: (id) => {{
      const box = kfaar.place(id);
      if (box && box.dataset.filled) box.dataset.stale = {json.dumps(STALE)};
    }},
    fresh: (id) => {{
      const box = kfaar.place(id);
      if (box) {{ delete box.dataset.stale; box.dataset.filled = "yes"; }}
    }},
    compare: (id, now) => {{
      const of = kfaar.results[id];
      if (of) JSON.stringify(of) === JSON.stringify(kfaar.plain(now)) ? kfaar.fresh(id) : kfaar.stale(id);
    }},
    plain: (values) => values.map((value) => value?.path ?? value),
    busy: (id, yes, answer) => {{
      const button = kfaar.place(id), box = kfaar.place(answer);
      if (button) button.setAttribute("aria-busy", yes);
      if (box) yes ? box.dataset.working = "yes" : delete box.dataset.working;
    }},
    look: (id) => {{
      const box = kfaar.place(id);
      if (box) box.scrollIntoView({{block: "nearest", behavior: still() ? "auto" : "smooth"}});
    }},
    now: () => {{
      const two = (n) => String(n).padStart(2, "0"), t = new Date();
      return `${{t.getFullYear()}}${{two(t.getMonth() + 1)}}${{two(t.getDate())}}-` +
        two(t.getHours()) + two(t.getMinutes()) + two(t.getSeconds());
    }},
  }};
}}"""


def begin(button: str, answer: str, results: str = "") -> str:
    """(inputs of an event) -> the same, when it begins: the button shows work, the place of the answer is in view.

    Args:
        button, answer: ids of elements.
        results: id of the place whose results will be of these inputs, without the last one, the visitor's state.
    """
    asked = f'kfaar.asked["{results}"] = kfaar.plain(values.slice(0, -1));' if results else ""
    return f"""(...values) => {{
  {asked} kfaar.busy("{button}", true, "{answer}"); kfaar.look("{answer}"); return values;
}}"""


def begin_face(button: str, answer: str, results: str) -> str:
    """The same, where a key may remember a person: before the state stands the place of those whom this page holds."""
    return f"""(...values) => {{
  const held = kfaar.held.join("\\n"), asked = [...values.slice(0, -2), values.at(-1)];
  ({begin(button, answer, results)})(...asked);
  return [...values.slice(0, -2), held, values.at(-1)];
}}"""


def end(button: str, answer: str, results: str) -> str:
    """JavaScript function: after an event, the button rests and the results count as those of the present input."""
    return f"""() => {{
  kfaar.busy("{button}", false, "{answer}"); kfaar.fresh("{results}"); kfaar.look("{answer}");
}}"""


def ended(button: str, answer: str) -> str:
    """(inputs of an event) -> the same, when it stops what that button began."""
    return f"""(...values) => {{ kfaar.busy("{button}", false, "{answer}"); return values; }}"""


# (card, sealed person, inputs of Order) when a face has come or failed: bind input and key to it. Of the inputs, places
# 1 to 5 are those of the key and of the method.
KEEP = """(card, sealed, ...now) => {
  kfaar.hold(sealed);
  const id = "anonymise-results", asked = kfaar.asked[id];
  kfaar.made = String(card).includes("data-done") && asked ? {key: asked.slice(1, 6), name: kfaar.now()} : null;
  kfaar.results[id] = asked;
  kfaar.busy("anonymise-run", false, "summary");
  kfaar.fresh(id);
  kfaar.compare(id, now);
  kfaar.look(id);
}"""

# (number of an example, state) -> the same, to be remembered
ON_EXAMPLE = "(...values) => { kfaar.example = values[0]; return values; }"

# (form, key) when an example has been filled in -> its form and key, or the same
EXAMPLE_KEY = f"""(form, key) => {{
  const own = {json.dumps([example.answer and example.answer.key for example in examples()])}[kfaar.example];
  return own ? ["hex", own] : [form, key];
}}"""

# the same when an example has been filled in: its answer is of what stands there now
KEEP_EXAMPLE = f"""(card, ...now) => {{
  kfaar.asked["anonymise-results"] = kfaar.plain(now);
  ({KEEP})(card, "", ...now);
}}"""

# (form, bits, text, passphrase, method) of another tab -> those of the face that was made, or the same
CARRY = "(...values) => kfaar.made ? kfaar.made.key : values"

# (key, bits) when a visitor gives a photo of their own -> the key, or a new one in the place of an example's
OWN_KEY = f"(key, bits) => {json.dumps(sorted(public_keys()))}.includes(key) ? {_NEW} : key"


def compare(results: str) -> str:
    """(inputs) marks results as those of an earlier input, unless they are of these."""
    return f"""(...now) => kfaar.compare("{results}", now)"""


def stale(*results: str) -> str:
    """JavaScript function that marks results as those of an earlier input."""
    return "() => { " + " ".join(f'kfaar.stale("{name}");' for name in results) + " }"


def press(button: str) -> str:
    """JavaScript function that presses the button with this HTML id."""
    return f"""() => document.getElementById("{button}").click()"""


# (sealed person) saves the key of the picture that is shown as a text file, with whom it remembers; digits alone are a
# key of version 1, and it says so
SAVE_KEY = f"""(sealed) => {{
  if (!kfaar.made) return;
  const key = kfaar.made.key[2].trim().replace(/^(?=[0-9a-f]+$)/i, {keys.stated(1)!r});
  const text = !sealed ? key : JSON.stringify({{
    kfaar: {keyring.FORMAT}, master: key, salt: null,
    people: [{{label: null, nonce: null, look: null, enrolled: sealed}}], faces: [],
  }}, null, 1);
  const blob = new Blob([text + "\\n"], {{type: "text/plain"}});
  const name = `virtual-face-${{kfaar.made.name}}.key`;
  {_SAVE}
}}"""

# () saves the key of many photos, as it was when they were begun
SAVE_MANY_KEY = f"""() => {{
  const asked = kfaar.asked["many-results"];
  if (!asked || asked[1] !== "hex") return;
  const text = asked[3].trim().replace(/^(?=[0-9a-f]+$)/i, {keys.stated(1)!r});
  const blob = new Blob([text + "\\n"], {{type: "text/plain"}}), name = `virtual-faces-${{kfaar.now()}}.key`;
  {_SAVE}
}}"""

# (picture) saves it, as the server wrote it
SAVE_PICTURE = f"""async (picture) => {{
  if (!picture || !kfaar.made) return;
  const blob = await (await fetch(picture.url)).blob(), ending = picture.path.split(".").pop();
  const name = `virtual-face-${{kfaar.made.name}}.${{ending}}`;
  {_SAVE}
}}"""


def save_table(element: str, name: str) -> str:
    """JavaScript function that saves the table inside the element with this HTML id as CSV."""
    return f"""() => {{
  const rows = Array.from(document.querySelectorAll("#{element} tr"), (row) =>
    Array.from(row.cells, (cell) => '"' + cell.innerText.replaceAll('"', '""') + '"').join(","));
  if (!rows.length) return;
  const blob = new Blob([rows.join("\\r\\n") + "\\r\\n"], {{type: "text/csv"}}), name = "{name}.csv";
  {_SAVE}
}}"""


# (name, bytes) of each file -> a zip that only stores them: local headers and contents, the directory, its end
_ZIP = """
  const table = Uint32Array.from({length: 256}, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xEDB88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const crc = (bytes) => ~bytes.reduce((sum, byte) => table[(sum ^ byte) & 255] ^ (sum >>> 8), -1) >>> 0;
  const packed = (fields) => {  // [bytes, value], little endian
    const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
    let at = 0;
    for (const [size, value] of fields) {
      size === 2 ? view.setUint16(at, value, true) : view.setUint32(at, value, true);
      at += size;
    }
    return view;
  };
  const zip = (files) => {
    const parts = [], directory = [];
    let at = 0, length = 0;
    for (const [name, bytes] of files) {
      const called = new TextEncoder().encode(name);
      const about = [[2, 20], [2, 0x800], [2, 0], [4, 0x210000], [4, crc(bytes)], [4, bytes.length], [4, bytes.length],
        [2, called.length], [2, 0]];
      parts.push(packed([[4, 0x04034b50], ...about]), called, bytes);
      directory.push(packed([[4, 0x02014b50], [2, 20], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]]), called);
      at += 30 + called.length + bytes.length;
      length += 46 + called.length;
    }
    const end = packed([[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, length], [4, at],
      [2, 0]]);
    return new File([...parts, ...directory, end], "photos.zip", {type: "application/zip"});
  };
"""


def pack_folder(element: str) -> str:
    """JavaScript function: the visitor chooses a folder; its pictures are packed into a zip, which is uploaded.

    Gradio's own folder upload drops the folders, and with them who is on which photo.

    Args:
        element: HTML id of the upload component that gets the zip.
    """
    return f"""() => {{
  {_ZIP}
  const input = document.createElement("input");
  input.type = "file";
  input.webkitdirectory = true;
  input.onchange = async () => {{
    const pictures = Array.from(input.files).filter((file) => /[.](jpe?g|png|webp|heic|bmp)$/i.test(file.name));
    const files = await Promise.all(
      pictures.map(async (file) => [file.webkitRelativePath, new Uint8Array(await file.arrayBuffer())]));
    const given = new DataTransfer(), upload = document.querySelector("#{element} input[type=file]");
    given.items.add(zip(files));
    upload.files = given.files;
    upload.dispatchEvent(new Event("change", {{bubbles: true}}));
  }};
  input.click();
}}"""


# (zip) saves all pictures of a comparison
SAVE_ALL = f"""async (zip) => {{
  if (!zip) return;
  const blob = await (await fetch(zip.url)).blob(), name = `virtual-faces-${{kfaar.now()}}.zip`;
  {_SAVE}
}}"""

# () saves the keys of a comparison as they were when it began, one a line
SAVE_KEYS = f"""() => {{
  const asked = kfaar.asked["compare-results"];
  if (!asked) return;
  const blob = new Blob([asked[1].trim() + "\\n"], {{type: "text/plain"}});
  const name = `virtual-faces-${{kfaar.now()}}.keys.txt`;
  {_SAVE}
}}"""

# Gradio draws the examples as buttons without a name, a button for uploads inside another one, empty plots as boxes
# with a name but no role, tabs that know no arrow keys, and a place in the queue as "queue: 2/3 |": a screen reader
# needs name and role, the keyboard one stop and arrows, and everybody words. Whoever has place n has n before them:
# those who wait, and the one who is served.
MEND_ACCESS = f"""() => {{
    const name = () => document.querySelectorAll("button.gallery-item:not([aria-label])").forEach(
        (button, place) => button.setAttribute("aria-label", {EXAMPLE!r} + " " + (place + 1)));
    const single = () => document.querySelectorAll("button button:not(:disabled)").forEach((inner) => {{
        const outer = inner.parentElement.closest("button"), input = inner.querySelector("input[type=file]");
        if (!input) return;
        inner.disabled = true;
        inner.style.pointerEvents = "none";
        outer.onclick = (event) => event.target !== input && input.click();
    }});
    const hollow = () => document.querySelectorAll(".empty[aria-label]:not([role])").forEach(
        (box) => box.setAttribute("role", "img"));
    const queue = () => document.querySelectorAll(".progress-text").forEach((box) =>
        box.childNodes.forEach((node) => {{
            const place = node.nodeType === Node.TEXT_NODE && /queue: (\\d+)\\/\\d+ \\|/.exec(node.data);
            if (place) node.data = node.data.replace(place[0], {json.dumps(QUEUE_PLACE)}.replace("{{n}}", place[1]));
        }}));
    const mend = () => {{ name(); single(); hollow(); queue(); }};
    document.addEventListener("keydown", (event) => {{
        const step = {{ArrowLeft: -1, ArrowRight: 1}}[event.key], tabs = event.target.closest("[role=tablist]");
        if (!step || !tabs) return;
        const all = [...tabs.querySelectorAll("[role=tab]")], at = all.indexOf(event.target.closest("[role=tab]"));
        all[(at + step + all.length) % all.length].focus();
    }});
    new MutationObserver(mend).observe(document.body, {{childList: true, subtree: true, characterData: true}});
    mend();
}}"""
