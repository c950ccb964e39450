import { clientEndpoint } from '../installation.js';
import { encodeForm } from '../php.js';
import type { Call } from './method.js';
import type { ShowFile } from './item-view.js';

/**
 * A file in an item (api-reference/files/how-to-update-files.md): the address for machines carries the authorization of whoever
 * asked, so it is another one at every call, and a secret.
 */
export function fileView({ portal, caller }: Call): ShowFile {
  const { name, domain } = portal.identity;
  const authorization =
    caller.kind === 'application'
      ? { under: '', auth: caller.access.token }
      : { under: `${caller.userId}/${caller.secret}/`, auth: null };
  const rest =
    clientEndpoint(portal.installation?.baseUrl ?? `https://${domain}`, name) + authorization.under;
  return (id, { itemId, entityTypeId, fieldName }) => {
    const file = { entityTypeId, id: itemId, fieldName, fileId: id };
    const action = 'crm.controller.item.getFile';
    return {
      id,
      url: `https://${domain}/bitrix/services/main/ajax.php?${encodeForm({ action, SITE_ID: 's1', ...file })}`,
      urlMachine: `${rest}${action}.json?${encodeForm({
        auth: authorization.auth,
        token: `crm|${Buffer.from(encodeForm({ action: 'getFile', ...file })).toString('base64')}`,
      })}`,
    };
  };
}
