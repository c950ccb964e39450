import { ref } from 'vue';

export const announced = ref('');

/** Read aloud by a screen reader. */
export function announce(text: string): void {
  announced.value = text;
}
