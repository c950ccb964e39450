import { clientEndpoint } from '../oauth/installation.js';
import { textOf } from '../protocol/php.js';
import type { Call } from './method.js';
import type { ShowFile } from './item-view.js';

/**
 * A file in an item (api-reference/files/how-to-update-files.md): the address for machines carries the authorization of whoever
 * asked, so it is another one at every call, and a secret.
 */
export function fileView({ portal, caller }: Call): ShowFile {
  const { name, domain } = portal.identity;
  const rest = clientEndpoint(portal.installation?.baseUrl ?? `https://${domain}`, name);
  const action = 'crm.controller.item.getFile';
  const machine =
    caller.kind === 'application'
      ? `${rest}${action}.json?auth=${caller.access.token}&token=crm%7C`
      : `${rest}${caller.userId}/${caller.secret}/${action}.json?token=crm%7C`;
  const page = `https://${domain}/bitrix/services/main/ajax.php?action=${action}&SITE_ID=s1`;
  return (id, { itemId, entityTypeId, fieldName }) => {
    const file = `entityTypeId=${entityTypeId}&id=${itemId}&fieldName=${fieldName}&fileId=${textOf(id) ?? ''}`;
    return {
      id,
      url: `${page}&${file}`,
      urlMachine: machine + Buffer.from(file).toString('base64url'),
    };
  };
}
