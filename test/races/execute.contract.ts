import { setTimeout as sleep } from 'node:timers/promises'
import { MySQLIdempotencyAdapter } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { beforeAll, expect, it } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import type { CallerMessage, Receipt, Round, RoundReport } from './execute-callers.js'

const PROCESSES = 8
const CALLERS = 25
const KILLS_PER_ROUND = 2
const rounds: readonly Round[] = [
  { round: 1, operation: 'transfer' },
  { round: 2, operation: 'charge' },
]

onEveryServer('operations executed by many processes, some of which are killed', (context) => {
  const killed = new Set<number>()
  const reports: RoundReport[] = []

  beforeAll(async () => {
    await context.adapter()
    for (const table of [
      'effect (round int not null, part varchar(10) not null, fence bigint not null, process int not null)',
      'run (round int not null, fence bigint not null, process int not null)',
      'lost (round int not null, process int not null)',
    ]) {
      await context.admin.query(`create table ${table} engine=InnoDB`)
    }

    const children = new Set<Child<CallerMessage>>()
    const start = () => {
      const child = new Child<CallerMessage>('races/execute-callers.ts', { url: context.url, callers: CALLERS })
      children.add(child)
      return child
    }
    const call = async (child: Child<CallerMessage>, round: Round) => {
      await child.until((message) => message === 'ready')
      child.process.send(round)
    }
    const runnerOf = async ({ round }: Round) => {
      for (;;) {
        const runner = [...children].find(({ messages }) => messages.some(isRunning(round)))
        if (runner !== undefined) return runner
        await sleep(5)
      }
    }
    const replace = async (victim: Child<CallerMessage>, round: Round) => {
      children.delete(victim)
      killed.add(victim.process.pid ?? 0)
      await victim.kill()
      await call(start(), round)
    }
    try {
      while (children.size < PROCESSES) start()
      await Promise.all([...children].map((child) => child.until((message) => message === 'ready')))
      for (const round of rounds) {
        for (const child of children) await call(child, round)
        const replacing: Promise<void>[] = []
        for (let kill = 0; kill < KILLS_PER_ROUND; kill++) {
          const runner = await runnerOf(round)
          // One dies at the start of a run, the other later, when it may be over.
          if (kill > 0) await sleep(Math.random() * 200)
          replacing.push(replace(runner, round))
        }
        await Promise.all(replacing)
        for (const child of children) reports.push((await child.until(isReportOf(round.round))) as RoundReport)
      }
    } finally {
      await Promise.all([...children].map((child) => child.kill()))
    }
  }, 90_000)

  const recorded = async (round: number) => {
    const record = await new MySQLIdempotencyAdapter(context.pool()).get<Receipt>(`${round}`)
    if (record === null) throw new Error(`expected an outcome of round ${round}`)
    return record.value
  }
  const select = async (sql: string) => (await context.admin.query<RowDataPacket[]>(sql))[0]

  it('give every caller of a process that survived the same result', async () => {
    expect(reports.flatMap(({ unexpected }) => unexpected)).toEqual([])
    expect(reports).toHaveLength(rounds.length * PROCESSES)
    for (const { round, receipts } of reports) {
      expect(receipts).toEqual(new Array(CALLERS).fill(await recorded(round)))
    }
  })

  it('have their effect exactly once in a transaction', async () => {
    for (const { round } of rounds.filter(({ operation }) => operation === 'transfer')) {
      const effects = await select(`select part, fence, process from effect where round = ${round} order by part desc`)
      const receipt = await recorded(round)
      expect(effects).toEqual([
        { part: 'debit', ...receipt },
        { part: 'credit', ...receipt },
      ])
    }
  })

  it('run once under each claim without one, and again only after their runner died or lost its claim', async () => {
    const lost = (await select('select round, process from lost')).map(({ round, process }) => `${process} in ${round}`)
    for (const { round } of rounds.filter(({ operation }) => operation === 'charge')) {
      const runs = (await select(`select fence, process from run where round = ${round} order by fence`)) as Receipt[]
      expect(runs.length).toBeGreaterThan(1)
      expect(new Set(runs.map(({ fence }) => fence)).size).toBe(runs.length)
      expect(runs.at(-1)).toEqual(await recorded(round))
      for (const { process } of runs.slice(0, -1)) {
        if (!lost.includes(`${process} in ${round}`)) expect(killed).toContain(process)
      }
    }
  })
})

function isRunning(round: number) {
  return (message: CallerMessage) => typeof message === 'object' && 'running' in message && message.running === round
}

function isReportOf(round: number) {
  return (message: CallerMessage) => typeof message === 'object' && 'receipts' in message && message.round === round
}
