import { parseJson } from './parse-json.js';
import { Rejection } from './rejection.js';

/** Where an app stands beside its own folder. Each function takes the text of a file and returns the new one. */

/**
 * @typedef {object} Registration
 * @property {string} file
 * @property {(text: string, name: string, events: readonly string[]) => string} add
 * @property {(text: string, name: string) => string} remove
 */

/** @type {readonly Registration[]} */
export const REGISTRATIONS = [
  { file: 'nest-cli.json', add: addProject, remove: removeProject },
  { file: 'docker-compose.yml', add: addService, remove: removeService },
  { file: 'README.md', add: addRows, remove: removeRows },
];

/** @param {string} text @param {string} name */
function addProject(text, name) {
  const settings = settingsOf(text);
  const project = {
    type: 'application',
    root: `apps/${name}`,
    entryFile: `apps/${name}/src/main`,
    sourceRoot: `apps/${name}/src`,
    compilerOptions: { tsConfigPath: `apps/${name}/tsconfig.app.json` },
  };
  const all = Object.entries(settings.projects);
  const firstLib = all.findIndex(([, { type }]) => type === 'library');
  all.splice(firstLib === -1 ? all.length : firstLib, 0, [name, project]);
  return `${JSON.stringify({ ...settings, projects: Object.fromEntries(all) }, null, 2)}\n`;
}

/** @param {string} text @param {string} name */
function removeProject(text, name) {
  const { projects, ...settings } = settingsOf(text);
  delete projects[name];
  return `${JSON.stringify({ ...settings, projects }, null, 2)}\n`;
}

/** @param {string} text */
export function projectsOf(text) {
  return Object.keys(settingsOf(text).projects);
}

/** @param {string} text @returns {{ projects: Record<string, { type?: string }> }} @throws {Rejection} */
function settingsOf(text) {
  const settings = parseJson('nest-cli.json', text);
  if (typeof settings?.projects === 'object' && settings.projects !== null) return settings;
  throw new Rejection('nest-cli.json has no projects: it is not that of b24-relay');
}

const BEFORE = /^ {2}migrate:[ \t\r]*$/m;

/** Before the service that migrates, which stands after the last consumer. @param {string} text @param {string} name */
function addService(text, name) {
  const service = `  ${name}:\n    <<: *app\n    command: ['node', 'dist/apps/${name}/src/main.js']\n\n`;
  if (!BEFORE.test(text))
    throw new Rejection(
      'docker-compose.yml has no service migrate, before which consumers stand: mend it first',
    );
  return text.replace(BEFORE, (next) => service + next);
}

/** With all that somebody has added to it. @param {string} text @param {string} name */
function removeService(text, name) {
  return text.replace(new RegExp(`^ {2}${name}:\\n(?: {4}.*\\n|\\n(?= {4}))*\\n?`, 'm'), '');
}

/** @param {string} text */
export function servicesOf(text) {
  const [, services = ''] = /^services:\n([\s\S]*?)(?=^\S|(?![\s\S]))/m.exec(text) ?? [];
  return [...services.matchAll(/^ {2}([\w-]+):/gm)].map(([, name = '']) => name);
}

/** Below the last consumer of each table. @param {string} text @param {string} name @param {readonly string[]} events */
function addRows(text, name, events) {
  const what = `consumer: ${events.map((event) => `\`${event}\``).join(', ')}`;
  return addRow(
    addRow(text, 'service', `| \`${name}\` | ${what} | |`),
    'folder',
    `| \`apps/${name}\` | ${what} |`,
  );
}

/** A README without such a table gets none. @param {string} text @param {string} heading @param {string} row */
function addRow(text, heading, row) {
  const lines = text.split('\n');
  const head = lines.findIndex((line) => line.startsWith(`| ${heading} `));
  if (head === -1) return text;
  const length = lines.slice(head).findIndex((line) => !line.startsWith('|'));
  const end = length === -1 ? lines.length : head + length;
  const last = lines.slice(0, end).findLastIndex((line, at) => at > head && line.includes('| consumer: '));
  lines.splice(last === -1 ? end : last + 1, 0, row);
  return lines.join('\n');
}

/** @param {string} text @param {string} name */
function removeRows(text, name) {
  return text
    .split('\n')
    .filter((line) => !new RegExp(`^\\| \`(apps/)?${name}\` +\\|`).test(line))
    .join('\n');
}
