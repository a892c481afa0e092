// The last backup of this node, its age, and how to take one.
import { by, command, put } from "./dom.js";
import { addressed } from "./verdict.js";
import { clock, millis, span } from "./words.js";

export function showBackups({ time, last_backup: at }) {
  by("backups-age").textContent = at ? `${span(millis(time) - millis(at))} ago` : "never";
  const last = at ? ["All that this node had acknowledged until ", clock(at), " is in its last backup."] : "No backup of this node was taken.";
  put(by("backups"), last, " ", command(addressed("forename backup FILE")));
}
