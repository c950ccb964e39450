import { emptyTree, type FormTree, isTree } from './form-tree.js';

/**
 * Secrets occur outside `auth`, too: chat bot events repeat whole token sets in `data[BOT][<id>]`, its `AUTH`, and
 * `data[COMMAND][<id>]` (api-reference/chat-bots/outdated/), newer ones in `data[bot][auth]`, and ONAPPMETHODCONFIRM
 * has the requesting access token as `data[TOKEN]` (api-reference/common/events/on-app-method-confirm.md).
 */
const SECRET_KEYS = new Set([
  'access_token',
  'refresh_token',
  'application_token',
  'client_secret',
  'token',
  'auth',
]);

/** Shorter values are not tokens, and would match harmless text. */
const MIN_TOKEN_LENGTH = 8;

/** The cost of a search grows with the length of both texts: only the end of a longer token is searched for. */
const MAX_SEARCHED_LENGTH = 64;

/** Copies `data` without the keys of secrets and without texts that contain one of `tokens`. */
export function withoutSecrets(data: FormTree, tokens: readonly (string | undefined)[]): FormTree {
  const searched = tokens
    .filter((token) => token !== undefined)
    .filter((token) => token.length >= MIN_TOKEN_LENGTH)
    .map((token) => token.slice(-MAX_SEARCHED_LENGTH));
  return copyClean(data, searched);
}

function copyClean(data: FormTree, tokens: readonly string[]): FormTree {
  const clean = emptyTree();
  for (const [key, value] of Object.entries(data)) {
    if (SECRET_KEYS.has(key.toLowerCase()) || tokens.some((token) => key.includes(token))) continue;
    if (isTree(value)) clean[key] = copyClean(value, tokens);
    else if (!tokens.some((token) => value.includes(token))) clean[key] = value;
  }
  return clean;
}
