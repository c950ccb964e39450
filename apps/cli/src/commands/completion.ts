import { OPTIONS_OF_COMMANDS, type Command, type Report } from '../program/command.js';
import { UsageError } from '../arguments/usage-error.js';

/** The words that may follow each sequence of words: of commands, and of options where a command is complete. */
function wordsAfter(commands: readonly Command[]): Map<string, Set<string>> {
  const after = new Map<string, Set<string>>([['', new Set(['--help', '--version'])]]);
  const add = (line: string, word: string): void => {
    after.set(line, (after.get(line) ?? new Set()).add(word));
  };
  for (const { name, options = [] } of commands) {
    let line = '';
    for (const word of name.split(' ')) {
      add(line, word);
      line = `${line} ${word}`;
    }
    for (const option of options) add(line, OPTIONS_OF_COMMANDS[option].flags.split(' ')[0] ?? '');
    for (const flag of ['--json', '--help']) add(line, flag);
  }
  return after;
}

/** Longer lines first: what follows a complete command may be any argument. */
function caseLines(commands: readonly Command[], assign: (words: string) => string): string {
  return [...wordsAfter(commands)]
    .toSorted(([one], [other]) => other.length - one.length)
    .map(([line, words]) => {
      const pattern = line === '' ? '""' : `"${line}"|"${line} "*`;
      return `    ${pattern}) ${assign([...words].join(' '))} ;;`;
    })
    .join('\n');
}

const bash = (commands: readonly Command[]): string => `_relay() {
  local line="" words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] || line="$line $word"
  done
  case "$line" in
${caseLines(commands, (words) => `words="${words}"`)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _relay relay`;

const zsh = (commands: readonly Command[]): string => `#compdef relay
_relay() {
  local line="" word
  local -a candidates
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ $word == -* ]] || line="$line $word"
  done
  case "$line" in
${caseLines(commands, (words) => `candidates=(${words})`)}
  esac
  compadd -- "\${candidates[@]}"
}
compdef _relay relay`;

const SCRIPTS = new Map([
  ['bash', bash],
  ['zsh', zsh],
]);

/** @throws UsageError for another shell */
export function formatCompletion(commands: readonly Command[], shell: string): Report {
  const script = SCRIPTS.get(shell)?.(commands);
  if (script === undefined) throw new UsageError('The shell must be bash or zsh.');
  return { value: { script }, text: script };
}
