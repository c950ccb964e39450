import { type FSWatcher, readdirSync, watch } from 'node:fs';
import { join, relative, sep } from 'node:path';

/** An editor writes a file in several steps, and several files at once. */
const QUIET_MS = 100;

/**
 * Calls back with the projects whose sources have changed: the app's name, and libs by theirs. Specs do not count.
 * @returns a function that ends it
 */
export function watchSources(root: string, app: string, changed: (projects: string[]) => void): () => void {
  const pending = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const note = (file: string): void => {
    const [, project] = relative(root, file).split(sep);
    if (project === undefined || !file.endsWith('.ts') || file.endsWith('.spec.ts')) return;
    pending.add(project);
    clearTimeout(timer);
    timer = setTimeout(() => {
      const projects = [...pending];
      pending.clear();
      changed(projects);
    }, QUIET_MS);
  };
  const ends = [join(root, 'apps', app, 'src'), join(root, 'libs')].map((top) => watchTree(top, note));
  return () => {
    clearTimeout(timer);
    for (const end of ends) end();
  };
}

/**
 * Folder by folder: with `recursive`, Node on Linux loses a file that an editor replaces by a new one of its name.
 */
function watchTree(top: string, note: (file: string) => void): () => void {
  const watchers = new Map<string, FSWatcher>();
  const watchNew = (): void => {
    for (const folder of foldersOf(top)) {
      if (watchers.has(folder)) continue;
      const watcher = watch(folder, (kind, name) => {
        if (name !== null) note(join(folder, name));
        if (kind === 'rename') watchNew();
      });
      watchers.set(folder, watcher);
      // Its folder is gone.
      watcher.on('error', () => watcher.close()).on('close', () => watchers.delete(folder));
    }
  };
  watchNew();
  return () => {
    for (const watcher of watchers.values()) watcher.close();
  };
}

function foldersOf(top: string): string[] {
  const entries = readdirSync(top, { recursive: true, withFileTypes: true });
  return [
    top,
    ...entries.filter((entry) => entry.isDirectory()).map(({ parentPath, name }) => join(parentPath, name)),
  ];
}
