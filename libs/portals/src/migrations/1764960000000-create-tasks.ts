import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateTasks1764960000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.tasks (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        consumer text NOT NULL,
        member_id text NOT NULL REFERENCES portals.portals ON DELETE CASCADE,
        kind text NOT NULL,
        state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
        progress jsonb NOT NULL DEFAULT '{}',
        error text,
        attempts int NOT NULL DEFAULT 0,
        again boolean NOT NULL DEFAULT false,
        owner uuid,
        lease_until timestamptz,
        due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at timestamptz,
        ended_at timestamptz,
        CONSTRAINT tasks_lease_check CHECK (num_nonnulls(owner, lease_until) = CASE state WHEN 'running' THEN 2 ELSE 0 END)
      );
      CREATE UNIQUE INDEX tasks_pending ON portals.tasks (consumer, member_id, kind) WHERE state IN ('waiting', 'running');
      CREATE INDEX tasks_due ON portals.tasks (consumer, due_at) WHERE state IN ('waiting', 'running');
      CREATE INDEX tasks_of_portal ON portals.tasks (member_id, consumer, requested_at);
      COMMENT ON COLUMN portals.tasks.again IS 'asked for once more while it was running: it starts anew when it ends';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.tasks');
  }
}
