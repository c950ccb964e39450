/** The variable that an operator would look at. */
export type AddressName = 'AMQP_URL' | 'DATABASE_URL';

/** What an operator is told of a bus that does not work. */
export interface Fault {
  /** What is wrong, of which queue or table, and what to do. One line, without a secret. */
  sentence: string;
  /** Waiting does not mend it. */
  needsPerson: boolean;
}

export const passing = (sentence: string): Fault => ({ sentence, needsPerson: false });
export const lasting = (sentence: string): Fault => ({ sentence, needsPerson: true });
