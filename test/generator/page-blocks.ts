import { readFileSync } from 'node:fs';

interface Block {
  kind: string;
  text: string;
}

/** Also one in a list, in a quotation, or with tildes. */
const FENCE = /^[\s>*\d.-]*(`{3,}|~{3,})(.*)$/;

/** The fenced blocks of a page of the documentation. What a spec runs it takes; what is left is run by nobody. */
export class PageBlocks {
  private readonly all: Block[];
  private readonly taken = new Set<Block>();

  constructor(path: string) {
    this.all = blocksIn(readFileSync(path, 'utf8'));
  }

  /** @returns the text of the next block of this kind that begins so @throws Error without one */
  take(kind: string, start: string): string {
    const found = this.all.find(
      (block) => !this.taken.has(block) && block.kind === kind && block.text.startsWith(start),
    );
    if (!found) throw new Error(`there is no other block of ${kind} that begins with ${start}`);
    this.taken.add(found);
    return found.text;
  }

  /** The first line of each. */
  left(): string[] {
    const left = this.all.filter((block) => !this.taken.has(block));
    return left.map(({ kind, text }) => `${kind}: ${text.split('\n', 1)[0]}`);
  }
}

function blocksIn(page: string): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; kind: string; lines: string[] } | undefined;
  for (const line of page.split('\n')) {
    const [, fence = '', kind = ''] = FENCE.exec(line) ?? [];
    if (!open) {
      if (fence) open = { fence, kind: kind.trim(), lines: [] };
    } else if (fence.startsWith(open.fence) && kind === '') {
      blocks.push({ kind: open.kind, text: open.lines.map((each) => `${each}\n`).join('') });
      open = undefined;
    } else open.lines.push(line);
  }
  if (open) throw new Error(`a block is not closed: ${open.lines[0]}`);
  return blocks;
}
