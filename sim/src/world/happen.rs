//! The course of time: planned events happen one after another.

use forename::replica::Input;

use crate::violation::Checked;
use crate::world::net::Micros;
use crate::world::queue::Event;
use crate::world::state::World;
use crate::world::{asking, connections, faults, feeds, healing, lies, process, prospects, step, swaps};

impl World {
    /// Lets time pass until then.
    pub(crate) fn run_until(&mut self, until: Micros) -> Checked {
        while let Some((at, event)) = self.queue.pop_until(until) {
            self.now = at;
            happen(self, event)?;
            self.found()?;
        }
        self.now = until;
        Ok(())
    }
}

fn happen(world: &mut World, event: Event) -> Checked {
    match event {
        Event::Start(host) => return process::start(world, host),
        Event::Turn(host, life) => return step::turn(world, host, life),
        Event::Wake(host, life) => {
            if let Some(running) = world.machines[host].running_mut_of(life) {
                running.wake_planned = None;
                world.input(host, Input::Wake);
            }
        }
        Event::Synced(host, life, batch) => step::synced(world, host, life, batch),
        Event::Arrive { epoch, from, to, packet } => connections::arrive(world, epoch, from, to, packet),
        Event::Dial(a, b) => connections::dial(world, a, b),
        Event::HangUp(epoch, host, peer) => connections::hang_up(world, epoch, host, peer),
        Event::IdleCheck(epoch, a, b) => {
            let idle = world.plan.links.idle * 1000;
            if world.net.cut_since(a, b).is_some_and(|since| world.now >= since + idle) {
                connections::close(world, epoch, 0);
            }
        }
        Event::Action(index) => asking::act(world, index),
        // Some plots plan faults for a time after the healing.
        Event::Fault(_) if world.net.is_healed() => {}
        Event::Fault(index) => return faults::fault(world, index),
        Event::FaultEnds(index) => return faults::fault_ends(world, index),
        Event::Lie(index) => lies::lie(world, index),
        Event::Flap(index, until) => faults::flap(world, index, until),
        Event::CopyDisk(index) => prospects::keep_copy(world, index),
        Event::Swap(index) => return swaps::swap(world, index),
        Event::ClockTurns(host, off) => healing::clock_turns(world, host, off),
        Event::ReadFeed(host, life) => {
            if world.machines[host].life == life {
                feeds::ask_feed(world, host);
            }
        }
        Event::Again(slot, host) => asking::ask_again(world, slot, host),
    }
    Ok(())
}
