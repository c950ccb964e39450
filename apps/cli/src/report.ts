/** What a command has to say: `value` for `--json`, `text` for a person. */
export interface Report {
  value: unknown;
  text: string;
  /** Something is wrong, though the command worked: it ends with 1. */
  isBad?: boolean;
}
