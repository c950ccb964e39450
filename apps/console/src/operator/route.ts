/** Which view is shown. */
import { computed, shallowRef } from 'vue';
import { parseRoute, type Route } from './address.js';

const hash = shallowRef(location.hash);
addEventListener('hashchange', () => {
  hash.value = location.hash;
});

export const route = computed<Route>(() => parseRoute(hash.value));

/** Another filter of the same view, which is no step to go back to. */
export function replaceRoute(address: string): void {
  history.replaceState(null, '', address);
  hash.value = location.hash;
}
