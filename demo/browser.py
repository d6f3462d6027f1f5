"""What runs in the visitor's browser: keys are made, read from files and saved there.

Each constant is a JavaScript function for an event's `js`; its arguments are the event's inputs.
"""

from __future__ import annotations

from demo.words import EXAMPLE

# (bits) -> hex digits
MAKE_KEY = """(bits) => {
  const bytes = crypto.getRandomValues(new Uint8Array(Number(bits) / 8));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}"""

# (count, bits) -> that many keys, one a line
MAKE_KEYS = """(count, bits) => Array.from({length: Number(count)}, () => Array.from(
  crypto.getRandomValues(new Uint8Array(Number(bits) / 8)), (b) => b.toString(16).padStart(2, "0")).join(""))
  .join("\\n")"""

# (key) -> the text of a file that the visitor chooses, or the same key when they choose none
LOAD_KEY = """(key) => new Promise((answer) => {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = ".key,.txt,text/plain";
  input.onchange = async () => answer(input.files.length ? (await input.files[0].text()).trim().slice(0, 200) : key);
  input.oncancel = () => answer(key);
  input.click();
})"""

_SAVE = """
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
"""

# (key) saves a text file
SAVE_KEY = f"""(key) => {{
  if (!key) return;
  const blob = new Blob([key.trim() + "\\n"], {{type: "text/plain"}}), name = "kfaar.key";
  {_SAVE}
}}"""

# () saves the picture that the page shows as the final one
SAVE_PICTURE = f"""async () => {{
  const picture = document.querySelector("#final-picture img");
  if (!picture) return;
  const blob = await (await fetch(picture.src)).blob(), name = "virtual-face.png";
  {_SAVE}
}}"""


def save_table(element: str, name: str) -> str:
    """() saves the table inside an element as CSV."""
    return f"""() => {{
  const rows = Array.from(document.querySelectorAll("#{element} tr"), (row) =>
    Array.from(row.cells, (cell) => '"' + cell.innerText.replaceAll('"', '""') + '"').join(","));
  if (!rows.length) return;
  const blob = new Blob([rows.join("\\r\\n") + "\\r\\n"], {{type: "text/csv"}}), name = "{name}.csv";
  {_SAVE}
}}"""


COPY = "(...values) => values"  # inputs of one tab into another, without the server

# Gradio draws the examples as buttons without a name, and upload buttons with a second control inside: a screen reader
# needs the name, and the keyboard only one stop.
MEND_ACCESS = f"""() => {{
    const name = () => document.querySelectorAll("button.gallery-item:not([aria-label])").forEach(
        (button, place) => button.setAttribute("aria-label", {EXAMPLE!r} + " " + (place + 1)));
    const single = () => document.querySelectorAll("button:has(button):not([role])").forEach((outer) => {{
        outer.setAttribute("role", "group");
        outer.tabIndex = -1;
    }});
    const mend = () => {{ name(); single(); }};
    new MutationObserver(mend).observe(document.body, {{childList: true, subtree: true}});
    mend();
}}"""
