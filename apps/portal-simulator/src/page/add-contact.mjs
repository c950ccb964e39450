/** Adds contacts: by the form, or one of some badly written examples. */
import { byId, element, setText } from './dom.mjs';

/** @type {[language: string, name: string, secondName: string, lastName: string][]} */
const EXAMPLES = [
  ['en', 'jOHN', '', "o'NEIL"],
  ['fr', 'éLODIE', '', 'DE LA FONTAINE'],
  ['uk', 'в’ячеслав', 'ІВАНОВИЧ', 'коваль-БОНДАР'],
  ['es', 'maría DEL CARMEN', '', 'gARCÍA lÓPEZ'],
  ['el', 'ΓΙΏΡΓΟΣ', '', 'παπαδόπουλος'],
  ['pl', 'łUKASZ', '', 'DĄBROWSKI-wójcik'],
  ['vi', 'nGUYỄN', '', 'thị hOA'],
  ['gd', 'ISLA', '', 'mCDONALD'],
];

/** @param {(fields: Record<string, string>) => Promise<unknown>} add */
export function connectAddForm(add) {
  const form = byId('add', HTMLFormElement);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const inputs = [...form.querySelectorAll('input')];
    const isEmpty = inputs.every(({ value }) => value.trim() === '');
    inputs[0]?.focus();
    if (isEmpty) return;
    const fields = Object.fromEntries(inputs.map(({ name, value }) => [name, value]));
    void tryTo(add, fields, () => form.reset());
  });
  const buttons = EXAMPLES.map(([language, name, secondName, lastName]) => {
    const text = [name, secondName, lastName].filter(Boolean).join(' ');
    const button = element('button', { type: 'button', lang: language }, text);
    button.addEventListener('click', () => void tryTo(add, { name, secondName, lastName }, () => {}));
    return button;
  });
  byId('examples', HTMLDivElement).replaceChildren(...buttons);
}

/**
 * @param {(fields: Record<string, string>) => Promise<unknown>} add
 * @param {Record<string, string>} fields
 * @param {() => void} done
 */
async function tryTo(add, fields, done) {
  const failure = byId('add-failure', HTMLParagraphElement);
  try {
    await add(fields);
    setText(failure, '');
    done();
  } catch (error) {
    setText(
      failure,
      `Not added: ${error instanceof Error ? error.message : 'the simulator does not answer'}`,
    );
  }
}
