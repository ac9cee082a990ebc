import { setTimeout as sleep } from 'node:timers/promises'
import { MySQLAdapter } from 'goscope-mysql'
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise'
import { beforeEach, describe, expect, it } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import { type ServerName, startServer } from '../support/servers/index.js'
import type { LeaseReport, LeaseWork } from './lease-worker.js'

onEveryServer('leases under fire', (context) => {
  beforeEach(async () => {
    await context.adapter()
    await prepare(context.admin)
  })

  it('lose no update of 64 workers in four processes, two of them with clocks that jump', async () => {
    const reports = await work({ url: context.url, duration: 10_000, workers: 16, guarded: false })
    await expectNothingLost(context.admin, reports)
    const raised = reports.reduce((sum, report) => sum + report.raised, 0)
    const [rows] = await context.admin.query<RowDataPacket[]>('select value from counter')
    expect(rows).toEqual([{ value: raised }])
  })

  it('lose no update while connections are killed', async () => {
    let killing = true
    const killer = (async () => {
      while (killing) {
        await sleep(40)
        const [rows] = await context.admin.query<RowDataPacket[]>(
          'select id from information_schema.processlist where db = ? and id <> connection_id() order by rand() limit 1',
          [context.database],
        )
        // It may have gone by itself meanwhile.
        for (const { id } of rows) await context.admin.query(`kill ${id}`).catch(() => {})
      }
    })()
    const reports = await work({ url: context.url, duration: 5_000, workers: 16, guarded: true })
    killing = false
    await killer
    await expectNothingLost(context.admin, reports)
  })

  it('keep a holder that was frozen past its time from committing', async () => {
    const state = await context.adapter()
    const frozen = new Child<string>('races/frozen-holder.ts', { url: context.url })
    await frozen.until((message) => message === 'holding')
    frozen.process.kill('SIGSTOP')
    try {
      await state.locks.withLock('frozen', { ttl: 30_000, wait: 30_000 }, async (lease) => {
        await context.admin.query('insert into witness (fence) values (?)', [lease.fence])
        frozen.process.kill('SIGCONT')
        expect(await frozen.until((message) => message !== 'holding')).toBe('refused: LOCK_LOST')
      })
    } finally {
      frozen.process.kill('SIGCONT')
    }
    await frozen.end()
    const [rows] = await context.admin.query<RowDataPacket[]>('select count(*) as written from witness')
    expect(rows).toEqual([{ written: 1 }])
  })

  it('are not held up by a client that was frozen in a guarded transaction', async () => {
    const state = await context.adapter()
    const frozen = new Child<string>('races/frozen-holder.ts', { url: context.url, inTransaction: true })
    await frozen.until((message) => message === 'in transaction')
    frozen.process.kill('SIGSTOP')
    try {
      await sleep(700)
      const begin = performance.now()
      expect(await state.acquire('frozen', 1_000)).toBeNull()
      expect(await state.acquire('another', 1_000)).not.toBeNull()
      expect(performance.now() - begin).toBeLessThan(2_000)
    } finally {
      frozen.process.kill('SIGCONT')
    }
    await frozen.end()
    expect(await state.acquire('frozen', 1_000)).not.toBeNull()
  })
})

describe.each<ServerName>(['mysql-9', 'mariadb-11.8'])('leases on %s', (name) => {
  it('lose no update while the server is killed and starts again', async () => {
    const server = await startServer(name)
    const root = createPool({ uri: server.url })
    try {
      await root.query('create database races')
      const url = `${server.url}/races`
      const state = new MySQLAdapter(url)
      await state.connect()
      await state.disconnect()
      const admin = createPool({ uri: url })
      await prepare(admin)
      await admin.end()
      const working = work({ url, duration: 12_000, workers: 8, guarded: true })
      await sleep(4_000)
      await server.restart('SIGKILL')
      const reports = await working
      const after = createPool({ uri: url })
      await expectNothingLost(after, reports)
      await after.end()
    } finally {
      await root.end().catch(() => {})
      await server.stop()
    }
  })
})

async function prepare(admin: Pool): Promise<void> {
  for (const statement of [
    'create table if not exists counter (value int not null)',
    'create table if not exists witness (id bigint auto_increment primary key, fence bigint not null)',
    'truncate counter',
    'truncate witness',
    'insert into counter values (0)',
  ]) {
    await admin.query(statement)
  }
}

async function work(order: LeaseWork): Promise<LeaseReport[]> {
  const children = ['60000', '-60000', '0', '0'].map(
    (shift) => new Child<LeaseReport>('races/lease-worker.ts', order, { CLOCK_SHIFT: shift, CLOCK_JUMPS: '1' }),
  )
  return (await Promise.all(children.map((child) => child.end()))).flat()
}

/** The counter shows every entry of the witness, and the tokens grew with the entries. */
async function expectNothingLost(admin: Pool, reports: readonly LeaseReport[]): Promise<void> {
  expect(reports.flatMap(({ unexpected }) => unexpected)).toEqual([])
  const [[counter], [witness]] = await Promise.all([
    admin.query<RowDataPacket[]>('select value from counter'),
    admin.query<RowDataPacket[]>('select fence from witness order by id'),
  ])
  const fences = witness.map(({ fence }) => Number(fence))
  expect(fences.length).toBeGreaterThan(20)
  expect(counter).toEqual([{ value: fences.length }])
  expect(fences).toEqual([...fences].sort((a, b) => a - b))
}
