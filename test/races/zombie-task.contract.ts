import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/mysql2'
import type { MySQLAdapter } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import type { ZombieMessage } from './zombie-task.js'

onEveryServer('a process that was stopped past its lease', (context) => {
  let state: MySQLAdapter

  beforeAll(async () => {
    state = await context.adapter()
    await context.admin.query(
      'create table ledger (id int auto_increment primary key, what varchar(50) not null) engine=InnoDB',
    )
  })

  beforeEach(async () => {
    await context.admin.query('delete from ledger')
    await state.deleteAll('report')
  })

  for (const [when, isInTransaction] of [
    ['between two transactions', false],
    ['inside a transaction', true],
  ] as const) {
    it(`and continued ${when} can neither save nor commit`, async () => {
      const zombie = new Child<ZombieMessage>('races/zombie-task.ts', { url: context.url, isInTransaction })
      onTestFinished(() => zombie.kill())
      await zombie.until((message) => message === 'stopping')

      const database = drizzle(context.pool())
      const attempts = await state.checkpoints.run<string, unknown>('report', { keep: true }, async (task) => {
        expect(task.resumed?.data).toBe('of the zombie')
        await database.transaction(async (tx) => {
          await tx.execute(sql`insert into ledger (what) values ('successor')`)
          await task.save(20, 'of the successor', { tx })
        })
        zombie.process.kill('SIGCONT')
        const messages = await zombie.end()
        await task.save(100, 'of the successor')
        return messages.at(-1)
      })

      expect(attempts).toStrictEqual({
        attempts: {
          commit: 'LockLostError',
          save: 'LockLostError',
          assertHeld: 'LockLostError',
          run: 'LockLostError',
        },
      })
      const [ledger] = await context.admin.query<RowDataPacket[]>('select what from ledger order by id')
      expect(ledger.map(({ what }) => what)).toStrictEqual(['zombie, in time', 'successor'])
      expect((await state.list('report')).map(({ sequence, data }) => [sequence, data])).toStrictEqual([
        [1, 'of the zombie'],
        [2, 'of the successor'],
        [3, 'of the successor'],
      ])
    })
  }
})
