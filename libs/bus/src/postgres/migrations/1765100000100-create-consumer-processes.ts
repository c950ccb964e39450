import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateConsumerProcesses1765100000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE bus.consumer_processes (
        consumer text NOT NULL,
        replica uuid NOT NULL,
        host text NOT NULL,
        pid integer NOT NULL,
        lanes integer NOT NULL,
        waiting integer NOT NULL,
        batches integer NOT NULL,
        oldest_at timestamptz,
        is_paused boolean NOT NULL,
        started_at timestamptz NOT NULL,
        reported_at timestamptz NOT NULL,
        PRIMARY KEY (consumer, replica)
      );
      COMMENT ON TABLE bus.consumer_processes IS 'what each consumer process says of itself every few seconds; a row that is older than that is of one that was killed';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE bus.consumer_processes');
  }
}
