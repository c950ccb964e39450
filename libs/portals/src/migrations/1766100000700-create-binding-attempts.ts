import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateBindingAttempts1766100000700 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.binding_attempts (
        member_id text NOT NULL REFERENCES portals.portals ON DELETE CASCADE,
        work text NOT NULL CHECK (work IN ('bind', 'unbind')),
        handler text NOT NULL,
        scope text[] NOT NULL,
        attempts int NOT NULL,
        next_attempt_at timestamptz NOT NULL,
        claim uuid,
        error text,
        PRIMARY KEY (member_id, work)
      );
      COMMENT ON TABLE portals.binding_attempts IS 'portals that are asked for event handlers now, or were in vain; written before a portal is asked';
      COMMENT ON COLUMN portals.binding_attempts.claim IS 'of the process that asks now, or ended while it did';

      ALTER TABLE portals.event_bindings
        DROP CONSTRAINT event_bindings_state_check,
        ADD CONSTRAINT event_bindings_state_check CHECK (state IN ('bound', 'unknown-event', 'out-of-scope')),
        ADD COLUMN scope text[],
        ADD COLUMN permission text;
      COMMENT ON COLUMN portals.event_bindings.scope IS 'of the application when the portal was asked; null: asked before it was kept';
      COMMENT ON COLUMN portals.event_bindings.permission IS 'that the application lacks for an event out of scope, where the portal said which';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      UPDATE portals.event_bindings SET state = 'unknown-event' WHERE state = 'out-of-scope';
      ALTER TABLE portals.event_bindings
        DROP CONSTRAINT event_bindings_state_check,
        ADD CONSTRAINT event_bindings_state_check CHECK (state IN ('bound', 'unknown-event')),
        DROP COLUMN scope,
        DROP COLUMN permission;
      DROP TABLE portals.binding_attempts;
    `);
  }
}
