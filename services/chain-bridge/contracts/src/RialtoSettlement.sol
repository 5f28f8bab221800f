// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

/// @title RialtoSettlement
/// @notice Holds the treasury in one ERC-20 token and pays merchants out of it, each payment at most once.
/// @dev A payment id is the 16 bytes of its UUID, left-aligned. Paying is idempotent by it, so that a batch may be sent
///      again, or a payment be put into another batch, after any crash or reorganisation: what is already paid is skipped.
contract RialtoSettlement is AccessControl, Pausable {
    using SafeERC20 for IERC20;

    bytes32 public constant OPERATOR_ROLE = keccak256("OPERATOR_ROLE");
    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");

    /// @notice One payment to make.
    struct Settlement {
        bytes32 paymentId;
        address payee;
        uint256 amount;
    }

    /// @dev One storage slot: a payment made costs one new slot, and tells what was paid to whom.
    struct Payout {
        address payee;
        uint96 amount;
    }

    /// @notice The token of the treasury.
    IERC20 public immutable token;

    mapping(bytes32 paymentId => Payout) private _payouts;

    /// @notice `payee` was paid `amount` token units for `paymentId`. Emitted once per payment, ever.
    event Settled(bytes32 indexed paymentId, address indexed payee, uint256 amount, bytes32 indexed batchId);

    /// @notice The payment was found paid already, with the same payee and amount, and was skipped.
    event AlreadySettled(bytes32 indexed paymentId, address indexed payee, uint256 amount, bytes32 indexed batchId);

    /// @notice The payment was already settled with another payee or amount.
    error SettlementConflict(bytes32 paymentId, address paidPayee, uint256 paidAmount);

    /// @notice The payee cannot be paid, or the amount is zero or does not fit 96 bits.
    error InvalidSettlement(bytes32 paymentId);

    /// @notice The token is not a contract.
    error InvalidToken(address token);

    constructor(IERC20 token_, address admin, address operator) {
        if (address(token_).code.length == 0) revert InvalidToken(address(token_));
        token = token_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(PAUSER_ROLE, admin);
        _grantRole(OPERATOR_ROLE, operator);
    }

    /// @notice Pay every settlement that is not paid yet; skip the others.
    /// @dev All or nothing: one that conflicts or is invalid reverts the batch and is named in the error.
    ///      Neighbours with the same payee share one transfer, so a batch sorted by payee costs the least gas.
    function settleBatch(bytes32 batchId, Settlement[] calldata settlements)
        external
        onlyRole(OPERATOR_ROLE)
        whenNotPaused
    {
        uint256 count = settlements.length;
        address payee = address(0);
        uint256 owed = 0;
        for (uint256 i = 0; i < count; ++i) {
            Settlement calldata settlement = settlements[i];
            if (settlement.payee != payee) {
                _transfer(payee, owed);
                payee = settlement.payee;
                owed = 0;
            }
            owed += _record(batchId, settlement.paymentId, payee, settlement.amount);
        }
        _transfer(payee, owed);
    }

    /// @notice What was paid for a payment; a zero payee means nothing yet.
    function settled(bytes32 paymentId) external view returns (address payee, uint256 amount) {
        Payout storage payout = _payouts[paymentId];
        return (payout.payee, payout.amount);
    }

    /// @notice Stop all payments.
    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    /// @notice Let payments go on.
    function unpause() external onlyRole(PAUSER_ROLE) {
        _unpause();
    }

    /// @dev Returns what is owed for the payment now: nothing when it was paid before. Recorded before any transfer of
    ///      its run, so that a token that calls back finds the payment already made.
    function _record(bytes32 batchId, bytes32 paymentId, address payee, uint256 amount) private returns (uint256) {
        Payout storage payout = _payouts[paymentId];
        address paidPayee = payout.payee;
        if (paidPayee != address(0)) {
            if (paidPayee != payee || payout.amount != amount) {
                revert SettlementConflict(paymentId, paidPayee, payout.amount);
            }
            emit AlreadySettled(paymentId, payee, amount, batchId);
            return 0;
        }
        // A payment to this contract would move nothing and yet look settled; one to the token would be lost in it.
        if (
            payee == address(0) || payee == address(this) || payee == address(token) || amount == 0
                || amount > type(uint96).max
        ) {
            revert InvalidSettlement(paymentId);
        }
        payout.payee = payee;
        payout.amount = uint96(amount); // the bound is checked above
        emit Settled(paymentId, payee, amount, batchId);
        return amount;
    }

    function _transfer(address payee, uint256 amount) private {
        if (amount != 0) token.safeTransfer(payee, amount);
    }
}
