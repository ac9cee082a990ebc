import { setTimeout as sleep } from 'node:timers/promises'
import type { RowDataPacket } from 'mysql2/promise'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import type { MoverMessage } from './money-mover.js'
import { ACCOUNTS, balancesAfter } from './transfers.js'

const KILLS = 50
// One at work, the others waiting to take over, so that a kill does not cost the start of a process.
const PROCESSES = 4

onEveryServer('a task that moves money', (context) => {
  beforeAll(async () => {
    await context.adapter()
    const { admin } = context
    await admin.query('create table accounts (id int primary key, balance bigint not null) engine=InnoDB')
    await admin.query('create table ledger (step int primary key, fence bigint not null) engine=InnoDB')
    await admin.query('create table plan (steps int) engine=InnoDB')
    await admin.query('insert into accounts (id, balance) values ?', [
      Array.from({ length: ACCOUNTS }, (_, id) => [id, 0]),
    ])
    await admin.query('insert into plan values (null)')
  })

  it(`does each step once although its process is killed ${KILLS} times`, { timeout: 180_000 }, async () => {
    const children = new Set<Child<MoverMessage>>()
    onTestFinished(async () => {
      await Promise.all([...children].map((child) => child.kill()))
    })
    const start = () => children.add(new Child('races/money-mover.ts', context.url))
    const errors = () => [...children].flatMap(({ messages }) => messages.filter((message) => 'error' in message))
    const isAtWork = ({ messages }: Child<MoverMessage>) => messages.some((message) => 'resumedAt' in message)
    const atWork = async () => {
      for (;;) {
        expect(errors()).toStrictEqual([])
        const found = [...children].find(isAtWork)
        if (found !== undefined) return found
        await sleep(5)
      }
    }

    for (let process = 0; process < PROCESSES; process++) start()
    for (let kill = 0; kill < KILLS; kill++) {
      const victim = await atWork()
      await sleep(Math.random() * 120)
      await victim.kill()
      children.delete(victim)
      start()
    }
    await context.admin.query('update plan set steps = (select coalesce(max(step), 0) + 20 from ledger)')
    const results = await Promise.all([...children].map((child) => child.end()))
    expect(errors()).toStrictEqual([])

    const [plan] = await context.admin.query<RowDataPacket[]>('select steps from plan')
    const steps = Number(plan[0]?.steps)
    expect(results.flat().filter((message) => 'done' in message)).toStrictEqual(
      Array.from({ length: PROCESSES }, () => ({ done: steps })),
    )
    const [ledger] = await context.admin.query<RowDataPacket[]>('select step, fence from ledger order by step')
    expect(ledger.map(({ step }) => step)).toStrictEqual(Array.from({ length: steps }, (_, step) => step))
    const fences = ledger.map(({ fence }) => fence)
    expect(fences).toStrictEqual(fences.toSorted((one, other) => one - other))
    // Many of the processes that were killed had done something.
    expect(new Set(fences).size).toBeGreaterThan(KILLS / 5)
    const [accounts] = await context.admin.query<RowDataPacket[]>('select balance from accounts order by id')
    expect(accounts.map(({ balance }) => Number(balance))).toStrictEqual(balancesAfter(steps))
  })
})
