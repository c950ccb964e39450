/** The result of a command: `value` for `--json`, `text` for a person. */
export interface Report {
  value: unknown;
  text: string;
  /** A problem was found, though the command worked: the exit code is 1. */
  isBad?: boolean;
}
